// A real OpenID provider (oidc-provider) for the tests, on 127.0.0.1 only, in one process:
//   a. a plain OpenID Connect issuer without a path,
//   b. an issuer of Microsoft's shape, https://127.0.0.1:PORT/<tenant>/v2.0,
// and a control channel over plain http. Prints one line of JSON when all three listen.
// Usage: node server.mjs CERT_FILE KEY_FILE TENANT. Ends when its stdin closes.
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as http from 'node:http';
import * as https from 'node:https';

import { decodeJwt, decodeProtectedHeader, exportJWK, generateKeyPair, importJWK, SignJWT } from 'jose';
import { errors, Provider } from 'oidc-provider';

import { addDirectGrants, assertions, PASSWORD_GRANT, SAML_GRANTS } from './direct_grants.mjs';

const [certFile, keyFile, tenant] = process.argv.slice(2);
const LOOPBACK = '127.0.0.1';
const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code';
const EXCHANGE_GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ON_BEHALF_GRANT = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const CLIENT_SECRET = randomBytes(24).toString('base64url');
const NOT_A_USERS_SECRET = ['response_type', 'response_mode', 'redirect_uri', 'prompt', 'scope', 'claims',
  'login_hint', 'domain_hint', 'max_age', 'ui_locales', 'resource', 'code_challenge_method',
  'client_info', 'post_logout_redirect_uri', 'acr_values', 'client_assertion_type'];

process.stdin.on('end', () => process.exit(0)).on('close', () => process.exit(0)).resume();

// ---------------------------------------------------------------- what the tests can turn
const DEFAULTS = { access_ttl: 3600, id_token_ttl: 3600, device_ttl: 600, device_interval: 1, code_length: 0, coop: null,
  device_answer: {}, token_answer: {}, step_up: null, realm: null, entra_tokens: false };
const claimsOf = new Map(); // the claims request of each access token
let knobs;
let faults;
let tampers;
let seen;

function reset() {
  knobs = { ...DEFAULTS };
  faults = [];
  tampers = [];
  seen = [];
  assertions.clear();
}
reset();

function take(list, matches) {
  const entry = list.find((candidate) => candidate.times > 0 && matches(candidate));
  if (entry) entry.times -= 1;
  return entry;
}

// ---------------------------------------------------------------- storage
// Nothing leaves it by age: an expired code is still known to be expired, a used token as used.
class Shelf {
  static drawers = [];

  constructor(model) {
    this.model = model;
    this.items = new Map();
    Shelf.drawers.push(this);
  }

  async upsert(id, payload) { this.items.set(id, payload); }

  async find(id) { return this.items.get(id); }

  async findByUid(uid) { return [...this.items.values()].find((item) => item.uid === uid); }

  async findByUserCode(code) {
    return [...this.items.values()].find((item) => item.userCode === code);
  }

  async consume(id) { this.items.get(id).consumed = Math.floor(Date.now() / 1000); }

  async destroy(id) { this.items.delete(id); }

  async revokeByGrantId(grantId) { this.drop((item) => item.grantId === grantId); }

  drop(matches) {
    let dropped = 0;
    for (const [id, item] of this.items) {
      if (matches(item)) {
        this.items.delete(id);
        dropped += 1;
      }
    }
    return dropped;
  }
}

const localPart = (account) => String(account).split('@')[0];

function revokeAccount(account) {
  let grants = 0;
  for (const shelf of Shelf.drawers.filter(({ model }) => model !== 'Session')) {
    const dropped = shelf.drop((item) => item.accountId
      && localPart(item.accountId) === localPart(account));
    if (shelf.model === 'Grant') grants += dropped;
  }
  return grants;
}

// ---------------------------------------------------------------- people
const NAMES = { ada: 'Ada Lovelace', grace: 'Grace Hopper' };

function objectId(account) {
  const hex = createHash('sha256').update(`oid:${localPart(account)}`).digest('hex');
  return [[0, 8], [8, 12], [12, 16], [16, 20], [20, 32]].map(([a, b]) => hex.slice(a, b)).join('-');
}

function person(account, microsoft) {
  const user = localPart(account);
  const name = NAMES[user] ?? user;
  const email = `${user}@example.org`;
  return microsoft
    ? { sub: account, name, email, preferred_username: email, oid: objectId(account), tid: tenant, ver: '2.0' }
    : { sub: account, name, email, email_verified: true, preferred_username: user };
}

// ---------------------------------------------------------------- the two providers
const GRAPH = ['User.Read', 'User.ReadBasic.All', 'Mail.Read', 'Mail.Send', 'Files.Read', 'Files.ReadWrite',
  'Calendars.Read', 'Sites.Read.All', '.default'];
const MICROSOFT_SCOPES = [
  ...GRAPH.map((name) => `https://graph.microsoft.com/${name}`),
  ...GRAPH.slice(0, -1),
  'https://management.azure.com//.default', 'https://management.azure.com//user_impersonation',
  'https://storage.azure.com/.default', 'https://storage.azure.com/user_impersonation',
  'api://nbauth-test/.default', 'api://nbauth-test/access_as_user', 'read', 'write',
];

async function makeProvider(issuer, microsoft) {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const jwk = { ...await exportJWK(privateKey), alg: 'RS256', use: 'sig', kid: randomBytes(6).toString('hex') };
  const signingKey = await importJWK(jwk, 'RS256');
  const label = microsoft ? 'microsoft' : 'oidc';
  const redirects = ['http://localhost', 'http://127.0.0.1', 'http://[::1]']
    .flatMap((base) => [base, `${base}/callback`]);
  const native = {
    application_type: 'native',
    redirect_uris: redirects,
    post_logout_redirect_uris: redirects,
    response_types: ['code'],
  };

  const findAccount = (_ctx, account) => ({ accountId: account, claims: async () => person(account, microsoft) });
  const provider = new Provider(issuer, {
    adapter: Shelf,
    jwks: { keys: [jwk] },
    clients: [
      {
        ...native,
        client_id: 'notebooks',
        client_name: 'Notebooks',
        token_endpoint_auth_method: 'none',
        grant_types: ['authorization_code', 'refresh_token', DEVICE_GRANT, PASSWORD_GRANT, ...SAML_GRANTS],
      },
      {
        ...native,
        client_id: 'confidential',
        client_secret: CLIENT_SECRET,
        token_endpoint_auth_method: microsoft ? 'client_secret_post' : 'client_secret_basic',
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials', DEVICE_GRANT, EXCHANGE_GRANT,
          ON_BEHALF_GRANT],
      },
    ],
    claims: {
      openid: microsoft ? ['sub', 'oid', 'tid', 'ver'] : ['sub'],
      profile: ['name', 'preferred_username'],
      email: ['email', 'email_verified'],
    },
    conformIdTokenClaims: false, // the claims of the granted scopes stand in the ID token itself
    // Browsers keep one cookie jar for all ports of a host.
    cookies: {
      keys: [randomBytes(16).toString('hex')],
      names: { session: `_${label}`, interaction: `_${label}_interaction`, resume: `_${label}_resume` },
    },
    features: {
      claimsParameter: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      introspection: { enabled: true },
      resourceIndicators: { enabled: false },
      revocation: { enabled: true },
      registration: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', ...(microsoft ? MICROSOFT_SCOPES : ['read', 'write'])],
    ttl: {
      AccessToken: () => knobs.access_ttl,
      ClientCredentials: () => knobs.access_ttl,
      DeviceCode: () => knobs.device_ttl,
      IdToken: () => knobs.id_token_ttl,
      AuthorizationCode: 60,
      Grant: 86400,
      Interaction: 3600,
      RefreshToken: 86400,
      Session: 86400,
    },
  });

  allowExchange(provider);

  const now = () => Math.floor(Date.now() / 1000);
  const WRONG = {
    iss: () => ({ iss: 'https://issuer.invalid' }),
    aud: () => ({ aud: 'another-client' }),
    nonce: () => ({ nonce: 'not-the-nonce-that-was-sent' }),
    exp: () => ({ iat: now() - 7200, exp: now() - 3600 }),
    sub: () => ({ sub: 'mallory' }),
    tid: () => ({ tid: '00000000-0000-0000-0000-00000000dead' }),
    alg_none: () => ({}),
    signature: () => ({}),
  };

  // As other providers make them: claims and header parameters to add, or null to leave it out.
  const ODD = 'odd';

  async function wrongIdToken(idToken, { what, claims: more, header }) {
    if (what === ODD && more === null) return undefined;
    const claims = { ...decodeJwt(idToken), ...(what === ODD ? more : WRONG[what]()) };
    const { kid } = decodeProtectedHeader(idToken);
    if (what === 'alg_none') {
      const parts = [{ alg: 'none' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
      return `${parts.join('.')}.`;
    }
    const key = what === 'signature' ? (await generateKeyPair('RS256')).privateKey : signingKey;
    return new SignJWT(claims).setProtectedHeader({ ...header, alg: 'RS256', kid }).sign(key);
  }

  // An access token of version 1.0, as Entra issues to Azure Storage. It is no token of this provider's own API.
  function asEntraWritesIt({ scope, expires_in: life }, account) {
    const [first] = scope.split(' ').filter((word) => word.includes('/'));
    const [aud, scp] = [first.slice(0, first.lastIndexOf('/')), first.slice(first.lastIndexOf('/') + 1)];
    return new SignJWT({ aud, iss: `https://sts.windows.net/${tenant}/`, iat: now(), nbf: now(), exp: Date.now() / 1000 + life,
      oid: objectId(account), tid: tenant, sub: account, scp, ver: '1.0', jti: randomBytes(6).toString('hex') })
      .setProtectedHeader({ alg: 'RS256', typ: 'JWT', kid: jwk.kid }).sign(signingKey);
  }

  function wrongResponseIssuer(ctx) {
    const location = ctx.response.get('location') ?? '';
    const inForm = typeof ctx.body === 'string' && ctx.body.includes('name="iss"');
    const url = location.includes('iss=') ? new URL(location) : undefined;
    if (!inForm && !url?.searchParams.has('iss')) return;
    const order = take(tampers, ({ what }) => what.startsWith('response_iss'));
    if (!order) return;
    const remove = order.what === 'response_iss_missing';
    if (inForm) {
      ctx.body = ctx.body.replace(/(<input type="hidden" name="iss" value=")[^"]*("\/>)/, remove ? '' : '$1https://issuer.invalid$2');
    } else {
      if (remove) url.searchParams.delete('iss');
      else url.searchParams.set('iss', 'https://issuer.invalid');
      ctx.set('location', url.href);
    }
  }

  function lengthenCode(ctx) {
    const location = ctx.response.get('location') ?? '';
    if (!knobs.code_length || !location.includes('code=')) return;
    const url = new URL(location);
    const code = url.searchParams.get('code');
    url.searchParams.set('code', `${code}.`.padEnd(knobs.code_length, 'x'));
    ctx.set('location', url.href);
  }

  provider.use(async (ctx, next) => {
    await next();
    const route = ctx._matchedRouteName;
    if (route === 'device_authorization' && ctx.body?.device_code) {
      if (knobs.device_interval !== null) ctx.body.interval = knobs.device_interval;
      if (microsoft) {
        ctx.body.message = `To sign in, use a web browser to open the page ${ctx.body.verification_uri} `
          + `and enter the code ${ctx.body.user_code} to authenticate.`;
      }
      Object.assign(ctx.body, knobs.device_answer);
    }
    if (route === 'token' && ctx.body?.access_token) {
      if (ctx.body.id_token) {
        const order = take(tampers, ({ what }) => what in WRONG || what === ODD);
        if (order) ctx.body.id_token = await wrongIdToken(ctx.body.id_token, order);
      }
      const account = ctx.oidc.entities.Account?.accountId;
      if (microsoft && knobs.entra_tokens) ctx.body.access_token = await asEntraWritesIt(ctx.body, account);
      claimsOf.set(ctx.body.access_token, ctx.oidc.body.claims ?? '');
      if (microsoft && account && ctx.oidc.body.client_info) {
        const info = { uid: objectId(account), utid: tenant };
        ctx.body.client_info = Buffer.from(JSON.stringify(info)).toString('base64url');
      }
      Object.assign(ctx.body, knobs.token_answer);
    }
    if (route === 'authorization' || route === 'resume') {
      wrongResponseIssuer(ctx);
      lengthenCode(ctx);
    }
  });
  addDirectGrants(provider, findAccount);
  provider.on('server_error', (_ctx, error) => console.error(label, error));
  return provider;
}

// A user's token for another one: token exchange (RFC 8693), and Microsoft's on-behalf-of flow.
function allowExchange(provider) {
  const names = ['subject_token', 'subject_token_type', 'requested_token_type', 'assertion', 'requested_token_use',
    'scope'];
  for (const grant of [EXCHANGE_GRANT, ON_BEHALF_GRANT]) {
    provider.registerGrantType(grant, async (ctx) => {
      const { client, params } = ctx.oidc;
      const subject = await provider.AccessToken.find(params.subject_token ?? params.assertion ?? '');
      if (!subject?.isValid) throw new errors.InvalidGrant('the token of the user is not valid');
      const { accountId, grantId } = subject;
      const token = new provider.AccessToken({ accountId, client, grantId, gty: 'exchange', scope: params.scope });
      ctx.body = { access_token: await token.save(), expires_in: token.expiration, token_type: 'Bearer',
        scope: params.scope, issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' };
    }, names);
  }
}

// Microsoft's server knows prompts that this provider does not, and gives a refresh token for
// offline_access without prompt=consent. (A native client is shown the consent page in any case.)
function asMicrosoftReadsIt(url) {
  const prompts = new Set((url.searchParams.get('prompt') ?? '').split(' ').filter(Boolean));
  for (const foreign of ['select_account', 'create']) {
    if (prompts.delete(foreign)) prompts.add('login');
  }
  const scopes = (url.searchParams.get('scope') ?? '').split(' ');
  if (scopes.includes('offline_access') && !prompts.has('none')) prompts.add('consent');
  if (prompts.size) url.searchParams.set('prompt', [...prompts].join(' '));
}

// ---------------------------------------------------------------- in front of each provider
const ENDPOINTS = [
  [/\/\.well-known\//, 'discovery'], [/\/jwks$/, 'jwks'], [/\/device\/auth$/, 'device_authorization'],
  [/\/device(\/[^/]+)?$/, 'device'], [/\/token\/revocation$/, 'revocation'],
  [/\/token\/introspection$/, 'introspection'], [/\/token$/, 'token'], [/\/auth$/, 'authorization'],
  [/\/auth\/[^/]+$/, 'resume'], [/\/interaction\//, 'interaction'], [/\/session\/end/, 'end_session'],
  [/^\/api\//, 'api'], [/^\/common\/userrealm\//i, 'realm'], [/\/me$/, 'userinfo'],
];
const endpointOf = (path) => ENDPOINTS.find(([pattern]) => pattern.test(path))?.[1] ?? 'other';
const withoutIds = (path) => path.replace(/\/(interaction|auth|device)\/(?!auth$)[^/]+/, '/$1/:uid');

function headerOf(assertion) {
  try {
    return assertion ? { ...decodeProtectedHeader(assertion), aud: decodeJwt(assertion).aud } : null;
  } catch {
    return null;
  }
}

function readBody(req) {
  return new Promise((resolve, reject) => {
    const chunks = [];
    req.on('data', (chunk) => chunks.push(chunk));
    req.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    req.on('error', reject);
  });
}

function answer(res, status, body, headers = {}) {
  const html = typeof body === 'string';
  res.writeHead(status, { 'content-type': html ? 'text/html; charset=utf-8' : 'application/json', ...headers });
  res.end(html ? body : JSON.stringify(body));
}

function misbehave(fault, req, res) {
  switch (fault.kind) {
    case 'drop': req.socket.destroy(); break;
    case 'hang': break;
    case 'html': answer(res, 200, '<!DOCTYPE html><html><body><h1>Please sign in to the network</h1></body></html>'); break;
    case 'slow_down': answer(res, 400, { error: 'slow_down', error_description: 'polling too fast' }); break;
    case 'json': answer(res, fault.status ?? 400, fault.body ?? {}, fault.headers); break;
    default: answer(res, Number(fault.kind), '<html><body>unavailable</body></html>', fault.headers);
  }
}

async function me(provider, req, res) {
  const [, value] = /^Bearer (\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
  const token = value
    && (await provider.AccessToken.find(value) ?? await provider.ClientCredentials.find(value));
  if (token?.isValid && knobs.step_up && !claimsOf.get(value)?.includes(`"${knobs.step_up}"`)) {
    const claims = JSON.stringify({ access_token: { acrs: { essential: true, value: knobs.step_up } } });
    const encoded = Buffer.from(claims).toString('base64url'); // without padding
    answer(res, 401, { error: { code: 'InvalidAuthenticationToken' } }, {
      'www-authenticate': `Bearer realm="", authorization_uri="https://login.example/common", client_id="0000", `
        + `error="insufficient_claims", claims="${encoded}"`,
    });
  } else if (token?.isValid) {
    const who = token.accountId ?? token.clientId;
    answer(res, 200, { sub: who, displayName: NAMES[who] ?? who, scope: token.scope ?? '', client_id: token.clientId });
  } else {
    const why = value ? ' error="invalid_token"' : '';
    answer(res, 401, { error: 'invalid_token' }, { 'www-authenticate': `Bearer realm="api",${why}` });
  }
}

// Where azure-identity sends some of its requests, without reading the metadata.
const V2_TOKEN = new RegExp(`^/${tenant}/oauth2/v2.0/token$`);

function front(label, mount, site) {
  return async (req, res) => {
    const url = new URL(req.url, 'https://loopback');
    const body = req.method === 'POST' ? await readBody(req) : '';
    const form = new URLSearchParams(body);
    const given = (name) => form.get(name) ?? url.searchParams.get(name) ?? undefined;
    const endpoint = endpointOf(url.pathname);
    const fault = take(faults, (candidate) => candidate.endpoint === endpoint
      && (!candidate.issuer || candidate.issuer === label)
      && (!candidate.grant_type || candidate.grant_type === given('grant_type')));
    const entry = {
      time: Date.now() / 1000,
      issuer: label,
      method: req.method,
      path: withoutIds(url.pathname),
      endpoint,
      client_id: given('client_id') ?? null,
      grant_type: given('grant_type') ?? null,
      scope: given('scope') ?? null,
      fields: [...new Set([...form.keys(), ...url.searchParams.keys()])].sort(),
      assertion: headerOf(given('client_assertion')),
      params: Object.fromEntries(NOT_A_USERS_SECRET.flatMap((name) => (
        given(name) === undefined ? [] : [[name, given(name)]]))),
      user_agent: req.headers['user-agent'] ?? null,
      fault: fault?.kind ?? null,
      status: null,
    };
    seen.push(entry);
    if (knobs.coop) res.setHeader('cross-origin-opener-policy', knobs.coop);
    res.on('finish', () => { entry.status = res.statusCode; });

    if (fault) {
      misbehave(fault, req, res);
    } else if (endpoint === 'realm' && mount && knobs.realm) {
      answer(res, 200, knobs.realm); // Microsoft's user realm discovery
    } else if (url.pathname === '/api/me') {
      await me(site.provider, req, res);
    } else if (!`${url.pathname}/`.startsWith(`${mount}/`) && !V2_TOKEN.test(url.pathname)) {
      answer(res, 404, { error: 'not_found' });
    } else {
      if (mount && endpoint === 'authorization') asMicrosoftReadsIt(url);
      url.pathname = url.pathname.replace(V2_TOKEN, `${mount}/token`);
      req.originalUrl = url.pathname + url.search;
      req.url = req.originalUrl.slice(mount.length) || '/';
      req.body = body.replace(/([?&]?code=[\w-]+)\.x+/, '$1') || {}; // a code that was lengthened
      site.handler(req, res);
    }
  };
}

const listening = (server) => new Promise((resolve) => {
  server.listen(0, LOOPBACK, () => resolve(server.address().port));
});

async function serve(label, mount) {
  const site = {};
  const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
  const port = await listening(https.createServer(tls, front(label, mount, site)));
  const issuer = `https://${LOOPBACK}:${port}${mount}`;
  site.provider = await makeProvider(issuer, mount !== '');
  site.handler = site.provider.callback();
  site.label = label;
  sites.push(site);
  return { issuer, base: `https://${LOOPBACK}:${port}` };
}

// ---------------------------------------------------------------- the control channel
// A client learns of an address while the provider runs: the ports of the tests are not known before.
async function register({ redirect_uri, client_id }) {
  for (const { provider } of sites) {
    const client = await provider.Client.find(client_id ?? 'notebooks');
    if (!client.redirectUris.includes(redirect_uri)) client.redirectUris.push(redirect_uri);
  }
  return {};
}

// A client that the tests make, with keys that they have made. It replaces one of the same id.
async function addClient(properties) {
  for (const { label, provider } of sites) {
    const [method] = [].concat(properties.token_endpoint_auth_method ?? (label === 'oidc' ? 'client_secret_basic' : 'client_secret_post'));
    await provider.Client.adapter.upsert(properties.client_id, {
      grant_types: ['client_credentials'], redirect_uris: [], response_types: [], ...properties,
      token_endpoint_auth_method: method,
    });
  }
  return {};
}

// What a person would read from a screen: the codes that nobody has entered yet.
function deviceCodes() {
  return Shelf.drawers.filter(({ model }) => model === 'DeviceCode')
    .flatMap(({ items }) => [...items.values()])
    .filter(({ accountId, error, consumed }) => !accountId && !error && !consumed)
    .map(({ userCode }) => userCode);
}

const sites = [];
const ORDERS = {
  'GET /device-codes': deviceCodes,
  'POST /client': addClient,
  'POST /register': register,
  'POST /control': (order) => Object.assign(knobs, order),
  'POST /fault': (order) => { faults.push({ times: 1, ...order }); return { faults }; },
  'POST /tamper': (order) => { tampers.push({ times: 1, ...order }); return { tampers }; },
  'POST /assertion': ({ digest, account }) => { assertions.set(digest, account); return {}; },
  'POST /revoke': ({ account }) => ({ grants: revokeAccount(account) }),
  'POST /reset': ({ storage }) => {
    reset();
    if (storage) Shelf.drawers.forEach((shelf) => shelf.items.clear());
    return {};
  },
  'GET /requests': () => seen,
};

const control = http.createServer(async (req, res) => {
  const body = await readBody(req);
  const order = ORDERS[`${req.method} ${req.url}`];
  if (order) answer(res, 200, await order(body ? JSON.parse(body) : {}));
  else answer(res, 404, { error: 'no such order' });
});

const plain = await serve('oidc', '');
const microsoft = await serve('microsoft', `/${tenant}/v2.0`);
const controlPort = await listening(control);
console.log(JSON.stringify({
  issuer: plain.issuer,
  api_url: `${plain.base}/api/me`,
  ms_issuer: microsoft.issuer,
  ms_authority: `${microsoft.base}/${tenant}`,
  ms_api_url: `${microsoft.base}/api/me`,
  control_url: `http://${LOOPBACK}:${controlPort}`,
  client_secret: CLIENT_SECRET,
}));
