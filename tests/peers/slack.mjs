// The emulator's Slack, with what its makers left no setting for: our people, our app, our events.
//
// node slack.mjs: one line of JSON in (the settings), one out once it listens ({"url", ...}). It
// ends with its input. What it lacks, and what is added here, is told in tests/peers/README.md.

import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

const folder = path.dirname(fileURLToPath(import.meta.resolve('emulate')));
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const told = JSON.parse((await lines.next()).value);

// The plugin's file is named by a hash of its content.
const named = fs.readdirSync(folder).filter((name) => /^dist-.*\.js$/.test(name));
const isSlack = (name) => fs.readFileSync(path.join(folder, name), 'utf8').includes('var slackPlugin = ');
const { slackPlugin, getSlackStore } = await import(path.join(folder, named.find(isSlack)));
const { createEmulator } = await import('emulate');

let dispatcher;
let kept;
const { register, seed } = slackPlugin;

slackPlugin.register = (app, store, webhooks, ...more) => {
  [dispatcher, kept] = [webhooks, store];
  webhooks.dispatch = completed(webhooks.dispatch.bind(webhooks));
  // Before the plugin's own: a token that nobody was given is nobody's.
  app.use('*', async (context, next) => {
    const token = (context.req.header('Authorization') ?? '').replace(/^Bearer\s+/i, '');
    const known = () => getSlackStore(store).tokens.findOneBy('token', token);
    if (context.req.path.startsWith('/api/') && token && !token.startsWith('Basic ') && !known()) {
      return context.json({ ok: false, error: 'invalid_auth' });
    }
    if (context.req.path.startsWith('/api/') && new URL(context.req.url).search) inBody(context);
    await next();
  });
  const posts = new Map();
  const gets = new Set();
  const watched = new Proxy(app, {
    get: (target, name) => (route, ...given) => {
      const handlers = route === '/api/users.info' ? given.map(withoutGuests) : given;
      if (name === 'post') posts.set(route, handlers);
      if (name === 'get') gets.add(route);
      return target[name](route, ...handlers);
    },
  });
  register(watched, store, webhooks, ...more);
  for (const [route, handlers] of posts) {
    if (route.startsWith('/api/') && !gets.has(route)) app.get(route, handlers[0]);
  }
};

slackPlugin.seed = (store, url) => {
  seed(store, url);
  const slack = getSlackStore(store);
  for (const user of told.users) {
    const profile = { display_name: user.name, real_name: user.name, email: user.email };
    slack.users.insert({
      user_id: user.id, team_id: 'T000000001', name: user.name, real_name: user.name,
      email: user.email, is_admin: false, is_bot: false, deleted: false, profile,
      presence: 'active', manual_presence: 'auto', connection_count: 1, ...user.more,
    });
  }
};

const emulator = await createEmulator({
  service: 'slack',
  port: told.port,
  baseUrl: `http://127.0.0.1:${told.port}`,
  seed: { slack: told.seed },
});
const slack = getSlackStore(kept);
for (const channel of slack.channels.all()) {
  slack.channels.update(channel.id, {
    channel_id: told.channels[channel.name] ?? channel.channel_id,
    members: slack.users.all().map((user) => user.user_id),
  });
}
if (told.events) {
  dispatcher.register({ owner: 'slack', url: told.events, events: ['*'], active: true });
}
process.stdout.write(`${JSON.stringify({ url: emulator.url, team: slack.teams.all()[0].team_id })}\n`);
for await (const line of { [Symbol.asyncIterator]: () => lines }) {
  const asked = JSON.parse(line);
  const answers = {
    deliveries: () => dispatcher.getDeliveries(),
    ephemeral: () => slack.ephemeralMessages.all(),
    views: () => slack.views.all(),
  };
  process.stdout.write(`${JSON.stringify(answers[asked]())}\n`);
}
await emulator.close();

// Slack takes arguments in the query as in the body, of a GET as of a POST. The emulator reads the
// body alone, and the SDK sends all but JSON in the query.
function inBody(context) {
  const url = new URL(context.req.url);
  const headers = new Headers(context.req.raw.headers);
  headers.delete('Content-Length');
  headers.set('Content-Type', 'application/x-www-form-urlencoded');
  const body = url.searchParams.toString();
  const request = new Request(url.origin + url.pathname, { method: 'POST', headers, body });
  context.req = new context.req.constructor(request, {});
}

// What Slack says of every user, and without which nobody counts as a full member.
function withoutGuests(handler) {
  return async (context, ...more) => {
    const answer = await handler(context, ...more);
    const told = await answer.json();
    if (!told.ok) return context.json(told);
    const user = { is_restricted: false, is_ultra_restricted: false, ...told.user };
    return context.json({ ...told, user });
  };
}

// What each of Slack's envelopes has and this one's have not, and the mention that comes beside a
// message which names the app's bot.
function completed(dispatch) {
  return async (event, action, payload, owner, repo) => {
    if (owner !== 'slack' || !told.kinds.includes(event)) return;
    const slack = getSlackStore(kept);
    const bot = slack.bots.all().find((one) => one.app_id);
    const channel = slack.channels.findOneBy('channel_id', payload.event.channel);
    const kind = channel?.is_im ? 'im' : channel?.is_private ? 'group' : 'channel';
    const bots = slack.users.findOneBy('user_id', payload.event.user)?.is_bot;
    const inner = {
      ...payload.event,
      event_ts: payload.event.event_ts ?? payload.event.ts,
      ...(event === 'message' ? { channel_type: kind } : {}),
      ...(bots && bot ? { bot_id: bot.bot_id, app_id: bot.app_id } : {}),
    };
    const wrapped = {
      ...payload,
      token: 'verification-token',
      api_app_id: bot?.app_id,
      authorizations: [{
        enterprise_id: null, team_id: payload.team_id, user_id: bot?.user_id, is_bot: true,
        is_enterprise_install: false,
      }],
      is_ext_shared_channel: false,
      event: inner,
    };
    await dispatch(event, action, wrapped, owner, repo);
    const named = event === 'message' && !inner.subtype && bot
      && (inner.text ?? '').includes(`<@${bot.user_id}>`);
    if (named && told.kinds.includes('app_mention')) {
      const { channel_type: _, ...mention } = { ...inner, type: 'app_mention' };
      const again = { ...wrapped, event_id: `${wrapped.event_id}M`, event: mention };
      await dispatch('app_mention', undefined, again, owner, repo);
    }
  };
}
