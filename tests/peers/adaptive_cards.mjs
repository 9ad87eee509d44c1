// Adaptive Cards' own parser: takes cards by name on its input, and says what is wrong with each.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const require = createRequire(`${process.argv[2]}/`);
const { AdaptiveCard, SerializationContext, Versions } = require('adaptivecards');

const problems = (json) => {
  const context = new SerializationContext(Versions.v1_5);
  const card = new AdaptiveCard();
  card.parse(json, context);
  const parsed = Array.from({ length: context.eventCount }, (_, at) => context.getEventAt(at));
  return [...parsed, ...card.validateProperties().validationEvents].map((one) => one.message);
};

const cards = JSON.parse(readFileSync(0, 'utf-8'));
const told = Object.entries(cards).map(([name, json]) => [name, problems(json)]);
process.stdout.write(JSON.stringify(Object.fromEntries(told)));
