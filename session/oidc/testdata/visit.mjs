// visit.mjs PLAYWRIGHT CHROMIUM URL allow|deny is a person at the development
// pages of oidc-provider, who ends at a page without a form. It prints the text
// of that page.
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
  page.setDefaultTimeout(15000);
  // Its pages ask for a font from elsewhere.
  await page.route(/fonts\.g/, (route) => route.abort());
  await page.goto(url, { waitUntil: 'domcontentloaded' });
  for (let step = 0; step < 10; step++) {
    if (await page.locator('input[name=password]').count()) {
      await page.fill('input[name=login]', 'jane');
      await page.fill('input[name=password]', 'planted-password');
      await Promise.all([page.waitForLoadState('domcontentloaded'), page.click('[type=submit]')]);
    } else if (await page.locator('form').count()) {
      const refuse = page.locator('button[name=abort], a[href$="/abort"]');
      await (decision === 'deny' && await refuse.count() ? refuse : page.locator('[type=submit]')).first().click();
      await page.waitForLoadState('domcontentloaded');
    } else {
      console.log(await page.locator('body').innerText());
      break;
    }
  }
} finally {
  await browser.close();
}
