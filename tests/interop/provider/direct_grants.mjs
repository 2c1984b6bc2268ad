// Grants without a redirect, which oidc-provider does not have: a password, and a SAML assertion.
import { createHash, timingSafeEqual } from 'node:crypto';

import { errors } from 'oidc-provider';

export const PASSWORD_GRANT = 'password';
export const SAML_GRANTS = ['urn:ietf:params:oauth:grant-type:saml1_1-bearer',
  'urn:ietf:params:oauth:grant-type:saml2-bearer'];

const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

// The bytes of an assertion are signed: it is accepted only if none of them has changed.
export const assertions = new Map();

// The password of each user is "<name>-password".
function accountOfPassword({ username = '', password = '' }) {
  const name = username.split('@')[0].toLowerCase();
  const right = Buffer.from(digest(`${name}-password`));
  if (timingSafeEqual(Buffer.from(digest(password)), right)) return name;
  throw new errors.CustomOIDCProviderError('invalid_grant',
    'AADSTS50126: Error validating credentials due to invalid username or password.');
}

function accountOfAssertion({ assertion = '' }) {
  const account = assertions.get(digest(Buffer.from(assertion, 'base64url')));
  if (account) return account;
  throw new errors.CustomOIDCProviderError('invalid_grant',
    'AADSTS50008: SAML token is invalid: its signature is not valid.');
}

export function addDirectGrants(provider, findAccount) {
  const register = (gty, parameters, accountOf) => {
    provider.registerGrantType(gty, async (ctx) => {
      const { client, params } = ctx.oidc;
      const accountId = accountOf(params);
      const account = findAccount(ctx, accountId);
      ctx.oidc.entity('Account', account);
      const grant = new provider.Grant({ accountId, clientId: client.clientId });
      grant.addOIDCScope(params.scope);
      const grantId = await grant.save();
      ctx.oidc.entity('Grant', grant);
      const common = { accountId, client, grantId, gty, scope: params.scope };
      const accessToken = new provider.AccessToken(common);
      const scopes = params.scope.split(' ');
      const refreshToken = scopes.includes('offline_access')
        && new provider.RefreshToken({ ...common, rotations: 0 });
      const claims = await account.claims();
      const idToken = new provider.IdToken(claims, { ctx });
      idToken.scope = params.scope;
      ctx.body = {
        access_token: await accessToken.save(),
        expires_in: accessToken.expiration,
        id_token: scopes.includes('openid') ? await idToken.issue({ use: 'idtoken' }) : undefined,
        refresh_token: refreshToken ? await refreshToken.save() : undefined,
        scope: params.scope,
        token_type: 'Bearer',
      };
    }, [...parameters, 'scope']);
  };
  register(PASSWORD_GRANT, ['username', 'password'], accountOfPassword);
  for (const gty of SAML_GRANTS) register(gty, ['assertion'], accountOfAssertion);
}
