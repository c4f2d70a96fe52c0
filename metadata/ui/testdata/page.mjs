// node page.mjs PLAYWRIGHT-CORE CHROMIUM CONTROL-URL PICTURES [ONLY] does in a
// browser what a person would, and prints a line of JSON for each scenario.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import path from 'node:path'

const [library, executablePath, control, pictures, only] = process.argv.slice(2)
const { chromium } = createRequire(import.meta.url)(library)

async function tell(what, body = '') {
  const r = await fetch(`${control}/${what}`, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
  const text = await r.text()
  if (!r.ok) throw new Error(`${what}: ${text}`)
  return text
}

// A code that AWS has not seen; the next one if all of now are used up.
async function code() {
  for (;;) {
    const c = await tell('code')
    if (c) return c
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
}

const scenarios = {
  async 'choose a role'(p) {
    await p.start()
    await p.state('Nothing active')
    await p.picture('empty')
    await p.pick.click()
    await p.expect('[role=listbox] [role=group]:nth-child(1) .group', 'Roles')
    await p.expect('[role=listbox] [role=group]:nth-child(2) .group', 'Profiles')
    assert.deepEqual(await p.page.locator('[role=option]').allTextContents(), ['broken', 'idp', 'partner', 'prod', 'readonly', 'base'])
    await p.pick.fill('part')
    await p.picture('type-ahead')
    await p.page.getByRole('option', { name: 'partner' }).click()
    await p.state('Active')
    await p.expect('#name', 'partner')
    assert.match(await p.text('#facts'), /Account210987654321.*assumed-role\/Partner.*eu-west-1/)
    assert.match(await p.text('#clock'), /^(59|1:00):\d\d(:\d\d)?$|^1:00:00$/)
    assert.match(await tell('whoami'), /assumed-role\/Partner/)
    assert.match(await p.page.title(), /^partner – aws-runas$/)
    const before = await p.text('#clock')
    await p.page.waitForFunction(b => document.querySelector('#clock').textContent !== b, before)
    await p.page.locator('#shell summary').click()
    await p.picture('active')
  },

  async 'wrong MFA code, then the right one'(p) {
    await p.start()
    await p.choose('readonly')
    await p.dialog('MFA code')
    assert.equal(await p.focused(), 'mfa-code')
    await p.picture('mfa')
    await p.page.keyboard.type('12345')
    await p.page.keyboard.press('Enter')
    await p.expect('#mfa-problem', /six digits/)
    await p.page.keyboard.type('000000')
    await p.page.keyboard.press('Enter')
    await p.expect('#mfa-problem', /AWS refused the code/)
    assert.equal(await p.focused(), 'mfa-code')
    assert.equal(await p.page.locator('#mfa-code').getAttribute('aria-invalid'), 'true')
    await p.picture('mfa-wrong')
    await p.page.keyboard.type(await code())
    await p.page.keyboard.press('Enter')
    await p.state('Active')
    await p.expect('#name', 'readonly')
    await p.noDialog()
    assert.equal(await p.focused(), 'pick')
    assert.match(await tell('whoami'), /assumed-role\/ReadOnly/)
    // The session is kept for the next role.
    await p.choose('prod')
    await p.expect('#name', 'prod')
    await p.noDialog()
  },

  async 'wrong password, right one, wrong code, right one'(p) {
    await p.start()
    await p.choose('idp')
    await p.dialog('Sign in')
    assert.equal(await p.page.locator('#auth-username').inputValue(), 'alice@example.com')
    assert.equal(await p.focused(), 'auth-password')
    await p.picture('auth')
    await p.page.keyboard.press('Enter') // empty: nothing is sent
    assert.equal(await p.focused(), 'auth-password')
    await p.page.keyboard.type('wrong')
    await p.page.keyboard.press('Enter')
    await p.expect('#auth-problem', /refused the username or password/)
    assert.equal(await p.page.locator('#auth-password').inputValue(), '')
    await p.page.keyboard.type('correct horse')
    await p.page.keyboard.press('Enter')
    await p.dialog('MFA code')
    await p.expect('#mfa-problem', '')
    await p.page.keyboard.type('111111')
    await p.page.keyboard.press('Enter')
    await p.expect('#mfa-problem', /refused the code/)
    await p.page.keyboard.type('424242')
    await p.page.keyboard.press('Enter')
    await p.expect('#name', 'idp')
    await p.noDialog()
    assert.match(await p.text('#facts'), /alice@example.com/)
    for (const id of ['auth-password', 'mfa-code']) assert.equal(await p.page.locator('#' + id).inputValue(), '')
  },

  async 'SAML: wrong password, right one, wrong code, right one'(p) {
    await p.start({ saml: 'forms', username: 'alice' })
    await p.saml('alice', /Invalid username or password/, /Invalid authenticator code/)
  },

  async 'SAML at Okta, by a name that is not configured'(p) {
    await p.start({ saml: 'okta' })
    await p.saml('', /Authentication failed/, /Invalid Passcode/)
  },

  async 'AWS is out of reach while signing in'(p) {
    await p.start()
    await p.choose('readonly')
    await p.dialog('MFA code')
    await tell('down')
    await p.page.keyboard.type(await code())
    await p.page.keyboard.press('Enter')
    await p.expect('#mfa-problem', /no route to host/, 30000)
    assert.equal(await p.focused(), 'mfa-code')
    await tell('up')
    await p.page.keyboard.type(await code())
    await p.page.keyboard.press('Enter')
    await p.expect('#name', 'readonly')
  },

  async 'cancel returns to what was active'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    for (const how of ['Escape', 'button']) {
      await p.choose('readonly')
      await p.dialog('MFA code')
      if (how === 'Escape') await p.page.keyboard.press('Escape')
      else await p.page.locator('#mfa .cancel').click()
      await p.noDialog()
      await p.expect('#live', /Cancelled. partner stays active/)
      assert.equal(await p.pick.inputValue(), 'partner')
      // A code that comes now is for what is active, which needs none.
      await p.look(() => p.ended === (how === 'Escape' ? 1 : 2))
      assert.equal((await fetch(p.url + 'mfa', { method: 'POST', body: new URLSearchParams({ mfa: '000000' }) })).status, 200)
      assert.match(await tell('whoami'), /assumed-role\/Partner/)
    }
  },

  async 'refresh now'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    const before = +await tell('count', 'AssumeRole')
    await p.page.getByRole('button', { name: 'Refresh now' }).click()
    await p.expect('#live', /Renewed/)
    assert.equal(+await tell('count', 'AssumeRole'), before + 1)
  },

  async 'a role that fails'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    await p.choose('broken')
    await p.expect('#notice', /Cannot switch to broken.*AccessDenied.*partner stays active/s)
    assert.equal(await p.pick.inputValue(), 'partner')
    await p.state('Active')
    await p.picture('error')
    await p.choose('partner')
    await p.expect('#notice', '')
  },

  async 'a renewal that fails, and one that succeeds'(p) {
    await p.start()
    await tell('lifetime', '16s')
    await p.choose('partner')
    await p.state('Nearly over')
    await tell('refuse')
    // Coming back to the page looks at once.
    await p.look(() => p.text('#state').then(t => t === 'Renewal failed'))
    await p.expect('#problem', /last renewal failed.*not any more/s)
    await p.picture('problem')
    await p.state('Expired')
    await tell('lifetime', '0s')
    await tell('allow')
    await p.look(() => p.text('#state').then(t => t === 'Active'))
    await p.expect('#problem', '')
  },

  async 'a renewal that needs a code'(p) {
    await p.start()
    await tell('lifetime', '16s')
    await p.choose('readonly')
    await p.dialog('MFA code')
    await p.page.keyboard.type(await code())
    await p.page.keyboard.press('Enter')
    await p.expect('#name', 'readonly')
    await tell('forget')
    await p.look(() => p.text('#state').then(t => t === 'Renewal failed'))
    await p.expect('#problem', /needs an MFA code.*: Refresh now asks you for it$/)
    await tell('lifetime', '0s')
    await p.page.getByRole('button', { name: 'Refresh now' }).click()
    await p.dialog('MFA code')
    await p.page.keyboard.type(await code())
    await p.page.keyboard.press('Enter')
    await p.state('Active')
    assert.equal(await p.focused(), 'refresh')
  },

  async 'keyboard only'(p) {
    await p.start()
    assert.equal(await p.focused(), 'pick')
    const key = k => p.page.keyboard.press(k)
    const at = () => p.page.evaluate(() => document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))?.textContent)
    await key('ArrowDown')
    assert.equal(await p.pick.getAttribute('aria-expanded'), 'true')
    assert.equal(await at(), 'broken')
    await key('ArrowUp')
    assert.equal(await at(), 'base')
    await key('ArrowDown')
    await key('ArrowDown')
    assert.equal(await at(), 'idp')
    await key('Escape')
    assert.equal(await p.pick.getAttribute('aria-expanded'), 'false')
    assert.equal(await at(), undefined)
    await p.page.keyboard.type('xyz')
    await p.expect('#more', 'Nothing matches “xyz”.')
    await p.expect('#live', 'No match')
    await key('Enter') // chooses nothing
    await key('Escape')
    assert.equal(await p.pick.inputValue(), '')
    await p.page.keyboard.type('PART')
    assert.equal(await at(), 'partner')
    await key('Enter')
    await p.expect('#name', 'partner')
    await p.expect('#live', 'partner is active.')
    const order = []
    for (let i = 0; i < 3; i++) {
      await key('Tab')
      order.push(await p.page.evaluate(() => document.activeElement.id || document.activeElement.textContent))
    }
    assert.deepEqual(order, ['refresh', 'Use it in a shell', 'Custom profile'])
    await key('Enter')
    await key('Tab')
    await key('ArrowRight')
    assert.equal(await p.page.locator('[name=adv-type]:checked').inputValue(), 'saml')
    assert.ok(await p.page.locator('#auth-url').isVisible())
    assert.ok(!await p.page.locator('#source-profile').isVisible())
    await key('ArrowLeft')
    await key('Tab')
    assert.equal(await p.focused(), 'role-arn')
    // A choice, a dialog and the way back.
    for (let i = 0; i < 5; i++) await key('Shift+Tab')
    assert.equal(await p.focused(), 'pick')
    await p.page.keyboard.type('readonly')
    await key('Enter')
    await p.dialog('MFA code')
    await key('Tab')
    await key('Tab')
    await key('Enter') // Cancel
    await p.noDialog()
    assert.equal(await p.focused(), 'pick')
  },

  async 'token'(p) {
    await p.start({ token: "s3cret+/=%'x" }, '#token=' + encodeURIComponent("s3cret+/=%'x"))
    await p.expect('#name', 'Choose a role or profile')
    assert.ok(!p.page.url().includes('s3cret'))
    assert.ok(!p.page.url().includes('token'))
    await p.choose('partner')
    await p.expect('#name', 'partner')
    await p.page.locator('#shell summary').click()
    await p.expect('#lines', /AWS_CONTAINER_AUTHORIZATION_TOKEN='s3cret\+\/=%'\\''x'/)
    await p.page.reload()
    await p.expect('#name', 'partner')
    assert.ok(!p.seen.some(u => u.includes('s3cret')), 'the token was in an address that was asked for')
  },

  async 'token missing, wrong and right'(p) {
    await p.start({ token: 'right' })
    await p.dialog('Token')
    await p.picture('token')
    await p.page.keyboard.type('wrong')
    await p.page.keyboard.press('Enter')
    await p.expect('#token-problem', /not the token/)
    await p.page.keyboard.type('right')
    await p.page.keyboard.press('Enter')
    await p.noDialog()
    await p.choose('partner')
    await p.expect('#name', 'partner')
  },

  async 'without storage'(p) {
    await p.page.addInitScript(() => {
      Object.defineProperty(window, 'sessionStorage', { get() { throw new DOMException('denied', 'SecurityError') } })
    })
    await p.start({ token: 'right' }, '#token=right')
    await p.choose('partner')
    await p.expect('#name', 'partner')
  },

  async 'a server that waits for a sign-in'(p) {
    await p.start({ profile: 'readonly' })
    await p.dialog('MFA code')
    await p.expect('#mfa-who', 'For readonly')
    await p.page.keyboard.press('Escape')
    await p.state('Sign-in needed')
    await p.expect('#name', 'readonly')
    await p.picture('waiting')
    await p.page.getByRole('button', { name: 'Sign in' }).click()
    await p.dialog('MFA code')
    await p.page.keyboard.type(await code())
    await p.page.keyboard.press('Enter')
    await p.state('Active')
    assert.ok(!await p.page.locator('#signin').isVisible())
  },

  async 'custom profile'(p) {
    await p.start()
    await p.page.locator('#custom summary').click()
    await p.picture('custom')
    await p.page.locator('#role-arn').fill('nonsense')
    await p.page.getByRole('button', { name: 'Use', exact: true }).click()
    await p.expect('#form-problem', /role-arn is "nonsense", not the ARN of a role/)
    assert.equal(await p.focused(), 'role-arn')
    assert.equal(await p.page.locator('#role-arn').getAttribute('aria-invalid'), 'true')
    await p.page.locator('#role-arn').fill('arn:aws:iam::210987654321:role/Partner')
    await p.page.locator('#source-profile').fill('base')
    await p.page.getByRole('button', { name: 'Use', exact: true }).click()
    await p.expect('#form-problem', /Cannot use this profile.*AccessDenied/s)
    await p.page.locator('#external-id').fill('partner-4711')
    await p.page.getByRole('button', { name: 'Use', exact: true }).click()
    await p.expect('#name', 'Partner')
    await p.state('Active')
    assert.match(await tell('whoami'), /assumed-role\/Partner/)
    await p.page.getByRole('button', { name: 'Save as' }).click()
    await p.expect('#form-problem', /profile-name is empty/)
    await p.page.locator('#profile-name').fill('my partner')
    await p.page.keyboard.press('Enter')
    await p.expect('#saved', /Saved as my partner/)
    await p.page.getByRole('button', { name: 'Save as' }).click()
    await p.expect('#form-problem', /my partner exists already.*once more/s)
    assert.equal(await tell('saved'), 'my partner ')
    await p.choose('my partner')
    await p.expect('#name', 'my partner')

    await p.page.locator('label', { hasText: 'SAML' }).click()
    await p.page.locator('#auth-url').fill('https://idp.example/saml')
    await p.page.locator('#username').fill('alice@example.com')
    await p.page.locator('#password').fill('correct horse')
    await p.picture('custom-saml')
    await p.page.getByRole('button', { name: 'Use', exact: true }).click()
    await p.dialog('MFA code')
    await p.page.keyboard.type('424242')
    await p.page.keyboard.press('Enter')
    await p.expect('#facts', /alice@example.com/)
    await p.page.locator('#password').fill('correct horse')
    await p.page.locator('#profile-name').fill('sam')
    await p.page.getByRole('button', { name: 'Save as' }).click()
    await p.expect('#saved', /Saved as sam/)
    assert.equal(await tell('saved'), 'my partner \nsam correct horse')
    assert.equal(await p.page.locator('#password').inputValue(), '')
  },

  async 'the server ends and returns'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    await tell('stop')
    await p.choose('prod')
    await p.expect('#offline', /server does not answer/)
    await p.state('Out of reach')
    await p.expect('#notice', '')
    await p.picture('offline')
    await tell('start')
    await p.expect('#offline', '')
    await p.state('Nothing active')
  },

  async '10,000 roles'(p) {
    await p.start({ roles: 10000 })
    await p.pick.click()
    await p.expect('#more', /9,\d{3} more: type to narrow the list/)
    await p.pick.fill('team')
    assert.ok(await p.page.locator('[role=option]').count() <= 100)
    await p.picture('many')
    const took = await p.page.evaluate(() => {
      const input = document.querySelector('#pick'), times = []
      for (const text of ['s', 'se', 'service-0', 'service 042', 'team-042/service-00042']) {
        const start = performance.now()
        input.value = text
        input.dispatchEvent(new InputEvent('input'))
        document.body.offsetHeight
        times.push(Math.round(performance.now() - start))
      }
      return times
    })
    p.note(`a key takes ${took} ms with 10,000 roles`)
    assert.deepEqual(await p.page.locator('[role=option]').allTextContents(), ['team-042/service-00042'])
    await p.pick.press('Enter')
    await p.expect('#notice', /Cannot switch to team-042\/service-00042/)
  },

  async 'a role by its ARN'(p) {
    await p.start({ profile: 'base' })
    await p.expect('#name', 'base')
    await p.pick.fill('arn:aws:iam::210987654321:role/Nobody')
    await p.expect('.group', 'Role ARN')
    await p.pick.press('Enter')
    await p.expect('#notice', /Cannot switch to arn:/)
  },

  async 'lines for the shell'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    await p.page.locator('#shell summary').click()
    await p.expect('#lines', new RegExp(`^unset AWS_ACCESS_KEY_ID .*\nexport AWS_SHARED_CREDENTIALS_FILE='/dev/null'\nexport AWS_REGION='eu-west-1'\n.*\nexport AWS_CONTAINER_CREDENTIALS_FULL_URI='${p.url}credentials'\n$`))
    await p.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await p.page.getByRole('button', { name: 'Copy' }).click()
    await p.expect('#copy', 'Copied')
    assert.equal(await p.page.evaluate(() => navigator.clipboard.readText()), await p.page.locator('#lines').textContent())
    await p.page.locator('#syntax').selectOption('fish')
    await p.expect('#lines', /set -gx AWS_REGION 'eu-west-1'/)
    await p.page.locator('#syntax').selectOption('pwsh')
    await p.expect('#lines', /\$Env:AWS_REGION = 'eu-west-1'/)
    await p.start({ kind: 'ec2', profile: 'partner' })
    await p.page.locator('#shell summary').click()
    await p.expect('#lines', new RegExp(`unset .* AWS_EC2_METADATA_DISABLED\n[^]*AWS_EC2_METADATA_SERVICE_ENDPOINT='${p.url}'\n$`))
  },

  async 'another window switches'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    await fetch(p.url + 'profile', { method: 'POST', body: 'base' })
    await p.look(() => p.text('#name').then(t => t === 'base'))
    assert.equal(await p.pick.inputValue(), 'base')
  },

  async 'narrow and in the dark'(p) {
    await p.start({ profile: 'partner' })
    await p.expect('#name', 'partner')
    for (const width of [320, 375]) {
      await p.page.setViewportSize({ width, height: 800 })
      for (const id of ['shell', 'custom']) {
        if (width === 320) await p.page.locator(`#${id} summary`).click()
      }
      const over = await p.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      assert.ok(over <= 0, `${over} px too wide at ${width}`)
      assert.equal(await p.page.locator('#copy').evaluate(e => e.offsetHeight), 44, 'a word is broken')
    }
    await p.picture('narrow')
  },
}

// Person is one at a page.
class Person {
  constructor(page) {
    this.page = page
    this.pick = page.locator('#pick')
    this.seen = []
    this.wrong = []
    this.ended = 0 // sign-ins
    page.on('request', r => this.seen.push(r.url()))
    page.on('requestfinished', r => { if (r.method() === 'DELETE') this.ended++ })
    page.on('pageerror', e => this.wrong.push(String(e)))
    page.on('console', m => {
      // A browser reports every status above 399, and every lost connection.
      if (m.type() === 'error' && !/Failed to load resource/.test(m.text())) this.wrong.push(m.text())
    })
  }

  async start(o = {}, fragment = '') {
    this.url = await tell('reset', o)
    await this.page.goto(this.url + fragment)
  }

  async text(selector) { return (await this.page.locator(selector).first().textContent()).trim() }

  async expect(selector, want, patience = 20000) {
    let got
    for (const end = Date.now() + patience; Date.now() < end;) {
      got = await this.page.locator(selector).first().textContent()
      if (want instanceof RegExp ? want.test(got) : got.trim() === want) return
      await this.page.waitForTimeout(20)
    }
    assert.fail(`${selector} is ${JSON.stringify(got)}, not ${want}`)
  }

  state(want) { return this.expect('#state', want) }
  focused() { return this.page.evaluate(() => document.activeElement.id) }
  note(text) { process.stderr.write(text + '\n') }

  async choose(name) {
    await this.pick.fill(name)
    await this.pick.press('Enter')
  }

  // saml signs in to the profile saml, whose configured name that is, past what
  // the provider says of a wrong password and a wrong code.
  async saml(username, wrongPassword, wrongCode) {
    await this.choose('saml')
    await this.dialog('Sign in')
    assert.equal(await this.page.locator('#auth-username').inputValue(), username)
    if (!username) {
      assert.equal(await this.focused(), 'auth-username')
      await this.page.keyboard.type('alice')
      await this.page.keyboard.press('Tab')
    }
    assert.equal(await this.focused(), 'auth-password')
    await this.page.keyboard.type('wrong')
    await this.page.keyboard.press('Enter')
    await this.expect('#auth-problem', wrongPassword)
    assert.equal(await tell('attempts'), '1 passwords, 0 codes')
    assert.equal(await this.page.locator('#auth-username').inputValue(), 'alice')
    assert.equal(await this.focused(), 'auth-password')
    await this.page.keyboard.type('correct horse')
    await this.page.keyboard.press('Enter')
    await this.dialog('MFA code')
    await this.expect('#mfa-problem', '')
    assert.equal(await tell('attempts'), '2 passwords, 0 codes')
    const right = await tell('idp-code')
    await this.page.keyboard.type(right === '000000' ? '111111' : '000000')
    await this.page.keyboard.press('Enter')
    await this.expect('#mfa-problem', wrongCode)
    await this.page.keyboard.type(right)
    await this.page.keyboard.press('Enter')
    await this.expect('#name', 'saml')
    await this.noDialog()
    await this.state('Active')
    assert.match(await this.text('#facts'), /assumed-role\/Saml-.*alice/)
    assert.match(await tell('whoami'), /assumed-role\/Saml-.*\/alice/)
    const attempts = await tell('attempts')
    assert.match(attempts, / 2 codes$/)
    for (const id of ['auth-password', 'mfa-code']) assert.equal(await this.page.locator('#' + id).inputValue(), '')
    // The provider's session renews them without a question.
    await this.page.getByRole('button', { name: 'Refresh now' }).click()
    await this.expect('#live', /Renewed/)
    assert.equal(+await tell('count', 'AssumeRoleWithSAML'), 2)
    assert.equal(await tell('attempts'), attempts)
  }

  async dialog(name) { await this.page.getByRole('dialog', { name }).waitFor() }
  async noDialog() { await this.page.waitForFunction(() => !document.querySelector('dialog[open]')) }

  // look is what happens when a person comes back to the page, until ok.
  async look(ok) {
    for (const end = Date.now() + 20000; Date.now() < end;) {
      await this.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')))
      await this.page.waitForTimeout(200)
      if (await ok()) return
    }
    assert.fail('that did not happen')
  }

  async picture(name) {
    for (const colorScheme of ['light', 'dark']) {
      await this.page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
      await this.page.screenshot({ path: path.join(pictures, `${name}-${colorScheme}.png`), fullPage: true })
    }
    await this.page.emulateMedia({ colorScheme: null, reducedMotion: null })
  }
}

const browser = await chromium.launch({ executablePath, args: process.getuid?.() === 0 ? ['--no-sandbox'] : [] })
for (const [name, run] of Object.entries(scenarios)) {
  if (only && !name.includes(only)) continue
  const context = await browser.newContext({ viewport: { width: 960, height: 900 }, locale: 'en-GB' })
  const page = await context.newPage()
  page.setDefaultTimeout(10000)
  const person = new Person(page)
  let error = ''
  try {
    await run(person)
    assert.deepEqual(person.wrong, [])
    assert.deepEqual(person.seen.filter(u => !u.startsWith(person.url) && !u.startsWith('data:')), [], 'the page asks elsewhere')
  } catch (e) {
    error = e.stack
    await page.screenshot({ path: path.join(pictures, 'failed.png') }).catch(() => {})
  }
  await context.close()
  console.log(JSON.stringify({ Name: name, Error: error }))
}
await browser.close()
