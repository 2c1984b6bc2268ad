// oauth2-mock-server over http, told what to answer through its own hooks.
// Arguments: its port, its public address, the port for orders. It ends when its stdin closes.
import { createServer } from "node:http";
import { OAuth2Server } from "oauth2-mock-server";

const [port, url, orderPort] = process.argv.slice(2);
const server = new OAuth2Server();
server.issuer.url = url;

// What an order may say: members of the token response to set and to leave out, claims and the
// algorithm of the ID token, members of the redirect's query to set, another issuer to be.
const usual = { answer: {}, leave_out: [], claims: {}, algorithm: "RS256", redirect: {}, issuer: url };
let told = usual;

const keys = {};
const key = async (algorithm) => (keys[algorithm] ??= await server.issuer.keys.generate(algorithm));

server.service.on("beforeResponse", ({ body }) => {
  Object.assign(body, told.answer);
  for (const name of told.leave_out) delete body[name];
});
server.service.on("beforeTokenSigning", (token) => {
  if ("scope" in token.payload) return; // the access token
  Object.assign(token.payload, told.claims);
});
server.service.on("beforeAuthorizeRedirect", ({ url: back }) => {
  for (const [name, value] of Object.entries(told.redirect)) {
    if (value === null) back.searchParams.delete(name);
    else back.searchParams.set(name, value);
  }
});

// The store takes its keys in turn unless one is named.
const take = server.issuer.keys.get.bind(server.issuer.keys);
let signing = await key("RS256");
server.issuer.keys.get = (kid) => take(kid ?? signing.kid);

const orders = createServer(async (request, response) => {
  let text = "";
  for await (const part of request) text += part;
  told = { ...usual, ...JSON.parse(text) };
  signing = await key(told.algorithm);
  server.issuer.url = told.issuer;
  response.end("{}");
});

await server.start(Number(port), "127.0.0.1");
orders.listen(Number(orderPort), "127.0.0.1");
process.stdin.on("end", () => process.exit(0)).resume();
