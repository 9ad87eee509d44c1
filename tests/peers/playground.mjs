// Somebody at a browser that shows Microsoft's playground: reads, writes, clicks, takes pictures.
//
// node playground.mjs CHROMIUM URL: one line of JSON out for each one in, {"do", ...}; what cannot
// be done is answered with {"error"}. It ends with its input.

import readline from 'node:readline';
import { chromium } from 'playwright-core';

const [executablePath, url] = process.argv.slice(2);
const SECONDS = 20;
const [ASIDE, BELOW, SHADOW] = [14, 8, 3];

const browser = await chromium.launch({
  executablePath,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-background-networking',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1',
  ],
});
const page = await browser.newPage({
  viewport: { width: 1280, height: 1400 },
  deviceScaleFactor: 1.5,
});
page.setDefaultTimeout(SECONDS * 1000);

const messages = page.locator('div:has(> [aria-label="Message header"])');
const written = page.locator('[data-lexical-editor=true][role=textbox]');

// The newest message that holds the text.
const message = (text) => messages.filter({ hasText: text }).last();

const acts = {
  says: async ({ text }) => {
    await written.click();
    await page.keyboard.type(text);
    await page.keyboard.press('Enter');
  },
  reads: () => messages.evaluateAll((found) => found.map((one) => {
    const header = one.querySelector(':scope > [aria-label="Message header"]');
    const author = header.querySelector('[aria-label="Message author"]');
    const seen = [...one.querySelectorAll('button')].filter((button) => button.checkVisibility());
    return {
      by: author?.innerText ?? '',
      label: header.innerText,
      text: one.innerText,
      buttons: seen.map((button) => button.innerText.trim()).filter(Boolean),
    };
  })),
  clicks: async ({ button, on }) => {
    const named = new RegExp(`^\\s*${button}\\s*$`);
    await message(on).locator('button:visible', { hasText: named }).last().click();
  },
  types: async ({ text, into, on }) => {
    await message(on).getByLabel(into).locator('visible=true').last().fill(text);
  },
  pictures: async ({ path, of }) => {
    // What the playground says of itself beside a card is nothing that people see in Teams.
    await page.evaluate(() => {
      for (const note of document.querySelectorAll('span.fui-Text')) {
        if (note.innerText.startsWith('Full width control')) {
          note.parentElement.parentElement.style.display = 'none';
        }
      }
    });
    await message(of.at(-1)).scrollIntoViewIfNeeded();
    const boxes = await Promise.all(of.map((text) => message(text).boundingBox()));
    const left = Math.min(...boxes.map((box) => box.x));
    const top = Math.min(...boxes.map((box) => box.y));
    const right = Math.max(...boxes.map((box) => box.x + box.width));
    const bottom = Math.max(...boxes.map((box) => box.y + box.height));
    const clip = {
      x: left - ASIDE,
      y: top + SHADOW,
      width: right - left + 2 * ASIDE,
      height: bottom - top + BELOW - SHADOW,
    };
    await page.screenshot({ path, clip, animations: 'disabled' });
  },
};

await page.goto(url);
await written.waitFor();
process.stdout.write('{}\n');
for await (const line of readline.createInterface({ input: process.stdin })) {
  const { do: act, ...given } = JSON.parse(line);
  const answer = await acts[act](given).catch((error) => ({ error: String(error) }));
  process.stdout.write(`${JSON.stringify(answer ?? {})}\n`);
}
await browser.close();
