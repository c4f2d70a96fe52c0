// visit.mjs PLAYWRIGHT CHROMIUM URL allow|deny is a person at the development
// pages of oidc-provider, who ends at a page without a form, or at the one after
// a refusal. It prints the text of that page.
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [library, program, url, decision] = process.argv.slice(2);
const { chromium } = (await import(pathToFileURL(path.join(library, 'index.js')))).default;
const browser = await chromium.launch({
  executablePath: program,
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
    '--ignore-certificate-errors'],
});
try {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  page.setDefaultTimeout(30000);
  // Its pages ask for a font from elsewhere.
  await page.route(/fonts\.g/, (route) => route.abort());
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  let refused = false;
  for (let pages = 1; ; pages++) {
    if (pages > 10) throw new Error(`no end in sight at ${page.url()}`);
    // A page that was dealt with stays until the next one is there, and one that
    // posts its form by itself has nothing to press.
    await page.waitForFunction(() => !window.done && document.readyState === 'complete' && (!document.forms.length || document.querySelector('[type=submit]')));
    await page.evaluate(() => { window.done = true; });
    const refuse = page.locator('button[name=abort], a[href$="/abort"]');
    if (refused || !await page.locator('form').count()) {
      console.log(await page.locator('body').innerText());
      break;
    } else if (await page.locator('input[name=password]').count()) {
      await page.fill('input[name=login]', 'jane');
      await page.fill('input[name=password]', 'planted-password');
      await page.click('[type=submit]');
    } else if (decision === 'deny' && await refuse.count()) {
      await refuse.first().click();
      refused = true;
    } else {
      await page.locator('[type=submit]').first().click();
    }
  }
} finally {
  await browser.close();
}
