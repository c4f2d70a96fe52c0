// provider.mjs LIBRARY [ISSUER CERTIFICATE KEY] runs oidc-provider with its
// development login pages, on a free loopback port or, with an issuer, at its
// port 443. It prints the issuer once it listens, and ends with standard input.
import http from 'node:http';
import https from 'node:https';
import fs from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [library, issuer, certificate, key] = process.argv.slice(2);
const { Provider } = await import(pathToFileURL(path.join(library, 'lib', 'index.js')));

let provider;
const answer = (request, response) => provider.callback()(request, response);
const server = issuer
  ? https.createServer({ cert: fs.readFileSync(certificate), key: fs.readFileSync(key) }, answer)
  : http.createServer(answer);
server.listen(issuer ? 443 : 0, issuer ? '0.0.0.0' : '127.0.0.1', () => {
  const name = issuer ?? `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(name, {
    clients: [{
      client_id: 'aws', application_type: 'native', token_endpoint_auth_method: 'none', response_types: ['code'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      redirect_uris: ['http://127.0.0.1/callback', 'app:/callback'],
    }],
    features: { deviceFlow: { enabled: true }, revocation: { enabled: true } },
    ttl: { IdToken: 3600 },
  });
  console.log(name);
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
