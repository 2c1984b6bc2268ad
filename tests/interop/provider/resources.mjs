// oidc-provider over http on loopback, as an issuer without a path, with resource indicators
// (RFC 8707): each of its two APIs has its own scopes, and its access tokens are JWTs for one API.
// Refresh tokens rotate, and using an old one revokes the grant (RFC 9700 §4.14.2).
// Usage: node resources.mjs. Prints its issuer as one line of JSON. Ends when its stdin closes.
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

import { errors, Provider } from 'oidc-provider';

const APIS = {
  'https://stock.example/': 'read stock',
  'https://orders.example/': 'read orders',
};

process.stdin.on('end', () => process.exit(0)).on('close', () => process.exit(0)).resume();

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: 'notebooks',
      application_type: 'native',
      redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1'],
      token_endpoint_auth_method: 'none',
      response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
    }],
    cookies: { keys: [randomBytes(16).toString('hex')] },
    features: {
      deviceFlow: { enabled: true },
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_ctx, resource) => {
          if (!(resource in APIS)) throw new errors.InvalidTarget();
          return { scope: APIS[resource], audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 3600 };
        },
        useGrantedResource: () => true,
      },
      revocation: { enabled: true },
    },
    findAccount: (_ctx, account) => ({ accountId: account, claims: async () => ({ sub: account }) }),
    pkce: { required: () => true },
    rotateRefreshToken: true,
    scopes: ['openid', 'offline_access', 'read', 'stock', 'orders'],
  });
  server.on('request', provider.callback());
  console.log(JSON.stringify({ issuer }));
});
