// A client of the TypeScript SDK: signs in through the whole OAuth flow, then calls what it is told.
//
// node sign_in.mjs URL: one line of JSON out for each one in. The first says where a person signs
// in; after that, {"tool", "arguments"} is answered by the tool's result. It ends with its input.

import http from 'node:http';
import readline from 'node:readline';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const tell = (told) => process.stdout.write(`${JSON.stringify(told)}\n`);
const url = new URL(process.argv[2]);

let arrive;
const arrived = new Promise((resolve) => { arrive = resolve; });
const listener = http.createServer((request, response) => {
  response.end('You can close this page.');
  arrive(new URL(request.url, 'http://127.0.0.1').searchParams);
});
await new Promise((resolve) => listener.listen(0, '127.0.0.1', resolve));

const kept = {};
const provider = {
  redirectUrl: `http://127.0.0.1:${listener.address().port}/callback`,
  get clientMetadata() {
    return {
      client_name: 'TypeScript peer',
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    };
  },
  state: () => (kept.state = crypto.randomUUID()),
  clientInformation: () => kept.client,
  saveClientInformation: (client) => { kept.client = client; },
  tokens: () => kept.tokens,
  saveTokens: (tokens) => { kept.tokens = tokens; },
  saveCodeVerifier: (verifier) => { kept.verifier = verifier; },
  codeVerifier: () => kept.verifier,
  redirectToAuthorization: (there) => tell({ authorize: there.href }),
};

const client = new Client({ name: 'typescript-peer', version: '1.0.0' });
const transport = new StreamableHTTPClientTransport(url, { authProvider: provider });
try {
  await client.connect(transport);
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
  const answer = await arrived;
  if (answer.get('state') !== kept.state) throw new Error('the state is not ours');
  await transport.finishAuth(answer.get('code'));
  await client.connect(new StreamableHTTPClientTransport(url, { authProvider: provider }));
}
listener.close();
tell({ tools: (await client.listTools()).tools.map((tool) => tool.name), scope: kept.tokens.scope });

for await (const line of readline.createInterface({ input: process.stdin })) {
  const { tool, arguments: given } = JSON.parse(line);
  tell(await client.callTool({ name: tool, arguments: given }));
}
await client.close();
