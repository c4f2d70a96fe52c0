const $ = id => document.getElementById(id)

function make(tag, props = {}, ...children) {
  const e = Object.assign(document.createElement(tag), props)
  e.append(...children)
  return e
}

// ---- the server

let token = ''
try { token = sessionStorage.getItem('token') ?? '' } catch { /* no storage: until the page is closed or reloaded */ }

function setToken(t) {
  token = t
  try { sessionStorage.setItem('token', t) } catch { /* as above */ }
}

// The address that start-up prints ends in #token=...; it must not stay where
// somebody can read or share it.
function takeToken() {
  const given = /^#token=(.+)/.exec(location.hash)?.[1]
  if (!given) return false
  history.replaceState(null, '', location.pathname + location.search)
  try { setToken(decodeURIComponent(given)) } catch { setToken(given) }
  return true
}

class Failure extends Error {
  constructor(status, message, more = {}) {
    super(message)
    this.status = status // 0: the server does not answer
    Object.assign(this, more) // need: AUTH or MFA; profile; username; locked: the token is missing or wrong
  }
}

async function call(method, path, body, signal) {
  const headers = token ? { Authorization: token } : {}
  let answer, text
  try {
    answer = await fetch(path, { method, body, headers, signal, cache: 'no-store' })
    text = await answer.text()
  } catch (e) {
    if (signal?.aborted) throw e
    setOffline(true)
    throw new Failure(0, 'The server does not answer.')
  }
  setOffline(false)
  let data = text
  try { data = JSON.parse(text) } catch { /* plain text */ }
  if (answer.ok) return data
  const need = answer.headers.get('X-AwsRunas-Authentication-Type')
  const message = data?.message ?? (need ? '' : text || `The server answered ${answer.status}.`)
  throw new Failure(answer.status, message, { need, profile: data?.profile, username: data?.username, locked: answer.status === 401 && !need })
}

// ---- what is active

let active = null // the answer of /profile
let waiting = null // a sign-in that the server waits for, while nothing is active
let work = null // the AbortController of what the person has asked for
let ending = null // of a cancelled sign-in: the next one waits for it
let offline = false

const title = d => d.name || d.role_arn?.split('/').pop() || 'Custom profile'

function say(text) {
  $('live').textContent = ''
  // A reader takes no notice of the same words again, unless they come anew.
  setTimeout(() => { $('live').textContent = text }, 50)
}

// fill is a notice's text, or none.
function fill(id, heading, text = '') {
  $(id).replaceChildren(...heading ? [make('b', { textContent: heading }), text] : [])
}

const notify = (heading, text) => fill('notice', heading, text)

function setOffline(on) {
  if (on === offline) return
  offline = on
  document.body.classList.toggle('away', on)
  fill('offline', on && 'The server does not answer', 'Has it ended? Start it again with aws-runas serve, and this page goes on by itself.')
  if (!on) {
    say('The server answers again')
    start()
  }
  schedule()
  show()
}

let tick = 0
function show() {
  const d = active
  const left = d?.expiration ? Math.ceil((Date.parse(d.expiration) - Date.now()) / 1000) : NaN
  const over = left <= 0
  const [kind, words] = offline ? ['', 'Out of reach']
    : !d ? ['', waiting ? 'Sign-in needed' : 'Nothing active']
      : over ? ['bad', 'Expired']
        : d.problem ? ['warn', 'Renewal failed']
          : left < 300 ? ['warn', 'Nearly over']
            : ['good', 'Active']
  $('active').className = 'card ' + kind
  put($('state'), words)
  put($('name'), d ? title(d) : waiting ? waiting.profile : 'Choose a role or profile')
  document.title = (kind === 'warn' || kind === 'bad' ? '⚠ ' : '') + (d ? title(d) + ' – ' : '') + 'aws-runas'

  $('left').hidden = !(left === left)
  if (left === left) {
    const s = Math.max(left, 0), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60
    const two = n => String(n).padStart(2, '0')
    put($('clock'), (h ? h + ':' + two(m) : m) + ':' + two(s % 60))
    put($('spoken'), over ? 'expired' : (h ? h + ' h ' : '') + (h || m ? m + ' min left' : 'less than a minute left'))
    const at = new Date(d.expiration)
    const day = at.toDateString() === new Date().toDateString() ? {} : { weekday: 'short' }
    put($('until'), (over ? 'since ' : 'left, until ') + at.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', ...day }))
  }
  clearTimeout(tick)
  if (left > 0) tick = setTimeout(show, 1000 - Date.now() % 1000)
}

function put(e, text) {
  if (e.textContent !== text) e.textContent = text
}

function setActive(d) {
  const before = active
  active = d
  if (d) waiting = null
  const facts = []
  if (d) {
    const [, account, identity] = /^arn:[^:]*:[^:]*:[^:]*:([^:]*):(.*)$/.exec(d.identity) ?? []
    if (account) facts.push(['Account', account])
    if (identity) facts.push(['Identity', identity])
    if (d.role_arn) facts.push(['Role', d.role_arn])
    facts.push(['Region', d.region || 'none set'])
    if (d.source_profile) facts.push(['Source', d.source_profile])
  }
  if (JSON.stringify(d) !== JSON.stringify(before)) {
    $('facts').replaceChildren(...facts.flatMap(([k, v]) => [make('dt', { textContent: k }), make('dd', { textContent: v })]))
    fill('problem', d?.problem && 'The last renewal failed', d?.problem?.replace(/: sign in at http:\S+$/, ': Refresh now asks you for it'))
    showLines()
  }
  $('refresh').hidden = !d
  $('signin').hidden = !waiting
  if (document.activeElement !== pick) pick.value = d?.name ?? ''
  else if (pick.value === (before?.name ?? '') && !opened()) pick.value = d?.name ?? ''
  show()
}

async function load() {
  try {
    setActive(await call('GET', 'profile'))
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    if (e.locked) return askToken()
    if (!e.status) return
    waiting = e.need ? e : null
    setActive(null)
    if (!e.need && e.status !== 404) notify('The profile cannot be read', e.message)
  }
}

// Changes that were made elsewhere, renewals and their problems.
let next = 0
function schedule() {
  clearTimeout(next)
  next = setTimeout(async () => {
    if (!document.hidden && !work && !$('token').open) await load()
    schedule()
  }, offline ? 2000 : 30000)
}

// ---- what a person does

const cancelled = new DOMException('', 'AbortError')

// A dialog asks, stays while the server thinks about the answer, asks again
// or is closed.
class Dialog {
  constructor(id, path) {
    this.path = path
    this.element = $(id)
    this.form = this.element.querySelector('form')
    this.submit = this.form.querySelector('[type=submit]')
    this.who = $(id + '-who')
    this.problem = $(id + '-problem')
    this.inputs = [...this.form.querySelectorAll('input')]
    this.form.addEventListener('submit', e => {
      e.preventDefault()
      const empty = this.inputs.find(i => !i.value.trim())
      if (empty) return empty.focus()
      if (!this.answered) return
      this.busy(true)
      this.answered(new URLSearchParams(new FormData(this.form)))
      this.answered = null
    })
    this.form.querySelector('.cancel')?.addEventListener('click', () => work?.abort())
    this.element.addEventListener('cancel', e => {
      e.preventDefault()
      work?.abort()
    })
  }

  busy(on) {
    this.submit.setAttribute('aria-disabled', on)
    this.form.setAttribute('aria-busy', on)
  }

  // ask resolves to what the person has filled in. The problem is shown.
  ask(problem, signal) {
    this.busy(false)
    this.problem.textContent = problem
    for (const i of this.inputs) i.setAttribute('aria-invalid', !!problem)
    const secret = this.inputs.at(-1)
    secret.value = ''
    if (!this.element.open) this.element.showModal()
    ;(this.inputs.find(i => !i.value) ?? secret).focus()
    return new Promise((resolve, reject) => {
      this.answered = resolve
      signal?.addEventListener('abort', () => reject(cancelled))
    })
  }

  close() {
    this.answered = null
    this.form.reset()
    this.element.close()
  }
}

const dialogs = { AUTH: new Dialog('auth', 'auth'), MFA: new Dialog('mfa', 'mfa') }
const tokenDialog = new Dialog('token')

// through takes a step and all sign-ins that it turns out to need. first is
// asked at once, for a sign-in that the server waits for already.
async function through(step, signal, first) {
  let open = null
  try {
    for (let failure = first; ; failure = null) {
      try {
        if (failure) throw failure
        return await step()
      } catch (e) {
        failure = e
      }
      // What passes by itself is no reason to type everything again.
      const passing = open && (failure.status === 0 || failure.status >= 500)
      const dialog = dialogs[failure.need] ?? (passing ? open : null)
      if (!dialog || signal.aborted) throw failure
      const again = open === dialog
      if (open && !again) open.close()
      open = dialog
      if (failure.profile) dialog.who.textContent = 'For ' + failure.profile
      if (!again && dialog === dialogs.AUTH) dialog.inputs[0].value = failure.username || ''
      const filled = await dialog.ask(failure.message || (again ? 'That was not accepted. Please try again.' : ''), signal)
      step = () => call('POST', dialog.path, filled, signal)
    }
  } finally {
    open?.close()
  }
}

// act does one thing at a time for the person; a newer one replaces it. It is
// true if it was done.
async function act({ step, doing, done, failed, first, report = notify }) {
  work?.abort()
  const mine = work = new AbortController()
  document.body.classList.add('busy')
  put($('pick-help'), doing)
  notify()
  say(doing)
  try {
    await ending
    const d = await through(() => step(mine.signal), mine.signal, first)
    if (work !== mine) return
    if (d?.role_arn !== undefined) setActive(d)
    else await load()
    say(done())
    return true
  } catch (e) {
    if (work !== mine) return
    if (mine.signal.aborted) {
      say('Cancelled. ' + (active ? title(active) + ' stays active.' : 'Nothing is active.'))
      ending = call('DELETE', 'auth').catch(() => {})
      await ending
      await load()
    } else if (e.locked) askToken()
    else if (!(e instanceof Failure)) throw e
    else if (e.status) { // else it is said already
      report(failed, e.message + (active ? `\n${title(active)} stays active.` : ''), e)
      if (e.status === 409) await load()
    }
  } finally {
    if (work === mine) {
      work = null
      document.body.classList.remove('busy')
      put($('pick-help'), 'What you choose is served at once.')
      restore()
      schedule()
    }
  }
}

const servedNow = () => active ? title(active) + ' is active.' : ''

function choose(name) {
  close()
  pick.value = name
  return act({
    step: signal => call('POST', 'profile', name, signal),
    doing: `Switching to ${name} …`, failed: `Cannot switch to ${name}`, done: servedNow,
  })
}

$('refresh').addEventListener('click', () => act({
  step: signal => call('POST', 'refresh', '', signal),
  doing: 'Renewing …', failed: 'Cannot renew', done: () => 'Renewed. ' + servedNow(),
}))

function signIn() {
  return act({ first: waiting, doing: 'Signing in …', failed: 'Cannot sign in', done: servedNow })
}
$('signin').addEventListener('click', signIn)

async function askToken() {
  if (tokenDialog.element.open) return
  for (;;) {
    const filled = await tokenDialog.ask(token && 'This is not the token of this server.')
    setToken(filled.get('token').trim())
    try {
      await call('GET', 'list-roles')
    } catch (e) {
      if (e.locked || !e.status) continue
    }
    break
  }
  tokenDialog.close()
  start()
}

// ---- the list

const pick = $('pick'), options = $('options')
const most = 100
let names = { roles: [], profiles: [] }
let options_ = [] // the names shown, in order
let at = -1
let typed = false // since the list was opened
let entry = null // where the arrow that opened the list goes: the first name or the last

const opened = () => !$('popup').hidden

let loading = Promise.resolve() // until the names are there for the first time

async function loadNames() {
  try {
    const [roles, profiles] = await Promise.all([call('GET', 'list-roles'), call('GET', 'list-profiles')])
    if (names.low && JSON.stringify([roles, profiles]) === JSON.stringify([names.roles, names.profiles])) return
    names = { roles, profiles, low: new Map([...roles, ...profiles].map(n => [n, n.toLowerCase()])) }
    $('sources').replaceChildren(...profiles.slice(0, 200).map(value => make('option', { value })))
    if (opened()) list()
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    if (e.status && !e.locked) notify('The list of roles cannot be read', e.message)
  }
}

// rank is how well a name fits: 0 best, -1 not at all.
function rank(low, words, whole) {
  if (low === whole) return 0
  if (!words.every(w => low.includes(w))) return -1
  if (low.startsWith(words[0])) return 1
  return /[^\p{L}\p{N}]/u.test(low[low.indexOf(words[0]) - 1]) ? 2 : 3
}

function matches(all, text) {
  const whole = text.trim().toLowerCase(), words = whole.split(/\s+/)
  if (!whole) return all
  const ranks = [[], [], [], []]
  for (const n of all) ranks[rank(names.low.get(n), words, whole)]?.push(n)
  return ranks.flat()
}

// marked is a name with what was typed standing out.
function marked(name, words) {
  const low = name.toLowerCase(), parts = []
  if (low.length !== name.length) return [name]
  let from = 0
  while (from < name.length) {
    const [start, end] = words.map(w => [low.indexOf(w, from), w]).filter(([i]) => i >= 0)
      .map(([i, w]) => [i, i + w.length]).sort((a, b) => a[0] - b[0] || b[1] - a[1])[0] ?? []
    if (!end) break
    parts.push(name.slice(from, start), make('mark', { textContent: name.slice(start, end) }))
    from = end
  }
  return [...parts, name.slice(from)]
}

function list() {
  const text = typed ? pick.value : ''
  const words = text.trim().toLowerCase().split(/\s+/).filter(Boolean)
  const roles = matches(names.roles, text), profiles = matches(names.profiles, text)
  const arn = /^arn:[\w-]+:iam::\d{12}:role\/\S+$/.test(text.trim()) ? [text.trim()] : []
  const few = Math.min(profiles.length, Math.max(most / 5, most - roles.length))
  const kept = options_[at]
  options_ = []
  const groups = [['Roles', roles.slice(0, most - few)], ['Profiles', profiles.slice(0, few)], ['Role ARN', arn]].filter(([, all]) => all.length)
  options.replaceChildren(...groups.map(([label, all], g) => {
    const head = make('div', { className: 'group', id: 'group' + g, textContent: label })
    head.setAttribute('role', 'presentation')
    const group = make('div', {}, head, ...all.map(name => {
      const o = make('div', { id: 'option' + options_.length }, make('span', {}, ...marked(name, words)))
      o.setAttribute('role', 'option')
      o.setAttribute('aria-selected', name === active?.name)
      if (name === active?.name) o.append(make('small', { textContent: 'active' }))
      options_.push(name)
      return o
    }))
    group.setAttribute('role', 'group')
    group.setAttribute('aria-labelledby', head.id)
    return group
  }))
  const total = roles.length + profiles.length, hidden = total - options_.length
  put($('more'), !names.low ? 'Loading …'
    : !names.low.size ? 'The AWS config has no profiles yet.'
    : !options_.length ? `Nothing matches “${text.trim()}”.`
      : hidden > 0 ? `${hidden.toLocaleString()} more: type to narrow the list.` : '')
  if (typed) announce(total + arn.length)
  let i = typed ? 0 : options_.indexOf(kept ?? active?.name)
  if (i < 0 && entry !== null) i = entry ? options_.length - 1 : 0
  move(Math.min(i, options_.length - 1))
}

let announcing = 0
function announce(n) {
  clearTimeout(announcing)
  announcing = setTimeout(() => say(n === 1 ? '1 match' : n ? n + ' matches' : 'No match'), 600)
}

function move(i) {
  options.querySelector('.at')?.classList.remove('at')
  at = i
  const o = i < 0 ? null : $('option' + i)
  if (!o) return pick.removeAttribute('aria-activedescendant')
  o.classList.add('at')
  pick.setAttribute('aria-activedescendant', o.id)
  if (i === 0) options.scrollTop = 0
  else o.scrollIntoView({ block: 'nearest' })
}

function open(from = null) {
  if (opened()) return
  typed = false
  entry = from
  at = -1
  $('popup').hidden = false
  pick.setAttribute('aria-expanded', 'true')
  list()
  loadNames()
}

function close() {
  clearTimeout(announcing)
  $('popup').hidden = true
  at = -1
  pick.setAttribute('aria-expanded', 'false')
  pick.removeAttribute('aria-activedescendant')
}

function restore() {
  if (!opened() && !work) pick.value = active?.name ?? ''
}

pick.addEventListener('focus', () => pick.select())
pick.addEventListener('click', () => open())
pick.addEventListener('blur', () => { close(); restore() })
pick.addEventListener('input', () => {
  open()
  typed = true
  list()
})
pick.addEventListener('keydown', e => {
  if (e.isComposing) return
  const last = options_.length - 1
  const step = { ArrowDown: 1, ArrowUp: -1 }[e.key]
  if (step) {
    e.preventDefault()
    if (!opened()) open(e.altKey ? null : step < 0)
    else if (e.altKey && step < 0) {
      close()
      restore()
    } else if (last >= 0) move(at < 0 && step < 0 ? last : (at + step + last + 1) % (last + 1))
  } else if (e.key === 'Enter') {
    e.preventDefault()
    if (!opened()) open()
    else loading.then(() => { if (at >= 0) choose(options_[at]) })
  } else if (e.key === 'Escape') {
    if (work) work.abort()
    close()
    restore()
    pick.select()
  }
})
options.addEventListener('mousedown', e => e.preventDefault())
options.addEventListener('click', e => {
  const o = e.target.closest('[role=option]')
  if (o) choose(options_[+o.id.slice(6)])
})

// ---- lines for the shell

const windows = /^Win/.test(navigator.platform)
const syntax = $('syntax')
if (windows) syntax.value = 'pwsh'

const quote = {
  sh: v => "'" + v.replaceAll("'", "'\\''") + "'",
  fish: v => "'" + v.replaceAll('\\', '\\\\').replaceAll("'", "\\'") + "'",
  pwsh: v => "'" + v.replace(/['‘’‚‛]/g, '$&$&') + "'",
}
let ecs = null // whether the server has /credentials

function showLines() {
  const unset = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE', 'AWS_DEFAULT_PROFILE', 'AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE']
  const nothing = windows ? 'NUL' : '/dev/null'
  const set = [['AWS_SHARED_CREDENTIALS_FILE', nothing]]
  if (active?.region) set.push(['AWS_REGION', active.region], ['AWS_DEFAULT_REGION', active.region])
  if (ecs) {
    set.push(['AWS_CONTAINER_CREDENTIALS_FULL_URI', location.origin + '/credentials'])
    if (token) set.push(['AWS_CONTAINER_AUTHORIZATION_TOKEN', token])
  } else {
    unset.push('AWS_CONTAINER_CREDENTIALS_FULL_URI', 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI', 'AWS_EC2_METADATA_DISABLED')
    if (location.hostname !== '169.254.169.254') set.push(['AWS_EC2_METADATA_SERVICE_ENDPOINT', location.origin + '/'])
  }
  const q = quote[syntax.value]
  const lines = {
    sh: () => ['unset ' + unset.join(' '), ...set.map(([k, v]) => `export ${k}=${q(v)}`)],
    fish: () => ['set -e ' + unset.join(' '), ...set.map(([k, v]) => `set -gx ${k} ${q(v)}`)],
    pwsh: () => ['Remove-Item -ErrorAction Ignore ' + unset.map(k => 'Env:' + k).join(', '), ...set.map(([k, v]) => `$Env:${k} = ${q(v)}`)],
  }[syntax.value]()
  put($('lines'), lines.join('\n') + '\n')
}
syntax.addEventListener('change', showLines)

$('copy').addEventListener('click', async () => {
  const lines = $('lines')
  let ok = false
  try {
    await navigator.clipboard.writeText(lines.textContent)
    ok = true
  } catch {
    // Browsers have a clipboard for localhost, none for 169.254.169.254.
    getSelection().selectAllChildren(lines)
    ok = document.execCommand('copy')
  }
  put($('copy'), ok ? 'Copied' : 'Press Ctrl-C')
  say(ok ? 'Copied' : 'The lines are selected: copy them with Ctrl-C')
  setTimeout(() => put($('copy'), 'Copy'), 2000)
})

// ---- custom settings

const settings = $('settings')

function fields() {
  const kind = settings.elements['adv-type'].value
  for (const f of settings.querySelectorAll('[data-of]')) {
    f.hidden = !f.dataset.of.split(' ').includes(kind)
    for (const i of f.querySelectorAll('input')) i.disabled = f.hidden
  }
  formProblem()
}

function formProblem(heading, text, e) {
  for (const i of document.querySelectorAll('#custom [aria-invalid]')) i.removeAttribute('aria-invalid')
  fill('form-problem', heading, text)
  $('saved').textContent = ''
  // The server begins with the name of the field that is wrong.
  const field = e?.status === 400 && /^Invalid [\w ]+: ([\w-]+) is /.exec(e.message)?.[1]
  const input = field && $(field)
  if (!input) return
  input.setAttribute('aria-invalid', true)
  input.focus()
}

for (const i of settings.elements['adv-type']) i.addEventListener('change', fields)
settings.addEventListener('submit', async e => {
  e.preventDefault()
  formProblem()
  const form = new URLSearchParams(new FormData(settings))
  if (await act({
    step: signal => call('POST', 'profile/custom', form, signal),
    doing: 'Switching to the custom profile …', failed: 'Cannot use this profile', done: servedNow, report: formProblem,
  })) {
    settings.elements.password.value = ''
    scrollTo({ top: 0 })
  }
})
let replacing = '' // the profile whose replacement has been warned of
$('save').addEventListener('submit', async e => {
  e.preventDefault()
  formProblem()
  const name = $('profile-name').value.trim()
  if (names.low?.has(name) && replacing !== name) {
    replacing = name
    return formProblem(`${name} exists already`, 'Save as once more replaces its settings.')
  }
  replacing = ''
  const form = new URLSearchParams(new FormData(settings))
  form.set('profile-name', name)
  try {
    await call('PUT', 'profile/custom', form)
    $('saved').textContent = `Saved as ${name}. It is in the list now.`
    settings.elements.password.value = ''
    loadNames()
  } catch (e) {
    if (!(e instanceof Failure)) throw e
    if (e.locked) askToken()
    else formProblem('Cannot save this profile', e.message, e)
  }
})

// ---- start

async function start() {
  if (ecs === null) {
    // Tells the two servers apart without asking for anything secret.
    try { await call('OPTIONS', 'credentials') } catch (e) { if (e.status && !e.locked) ecs = e.status === 405 }
  }
  loading = loadNames()
  await Promise.all([load(), loading])
  showLines()
  if (waiting && !work) signIn()
}

put($('origin'), location.host)
takeToken()
addEventListener('hashchange', () => {
  if (!takeToken()) return
  if (tokenDialog.element.open) tokenDialog.close()
  start()
})
document.addEventListener('visibilitychange', () => {
  if (document.hidden || work || $('token').open) return
  load()
  schedule()
})
fields()
showLines()
schedule()
start()
