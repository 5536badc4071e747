import { charts } from './charts.js';
import { append, clock } from './curves.js';
import { bytes, cell, count, known, make, nats, number, percent, perSecond, plural, rows, span, text } from './figures.js';

const TRAINING = { at: 0, step: 1, loss: 2, rate: 3, tokens: 4, lambda: 5, agreement: 6 };
const DRIFT = { at: 0, version: 1, requests: 2, positions: 3, kl: 4, error: 5, max: 6, agreement: 7, acceptance: 8, entropy: 9 };
const RETRY_MILLIS = 3000;
const BANNERS = 3;

const byId = (id) => document.getElementById(id);
const curves = { student: '', training: [], drift: new Map() };
let draw = null;
let latest = null;
let lastHeard = 0;

/* What the state says */
const live = (state, service) =>
  state.services.filter((s) => s.service === service && !s.silent && !['stopped', 'failed'].includes(s.state));
const topic = (state, name) => state.topics.find((t) => t.name === name);

/**
 * A service's own counter where it reports one: a topic's offsets also count transaction markers.
 */
function flowRate(state, service, counter, name) {
  const own = live(state, service).map((s) => s.rates[counter]).filter(known);
  return own.length ? own.reduce((a, b) => a + b) : topic(state, name)?.records_per_second;
}

/** A service's own gauge of what it has still to read, else its group's lag. */
function waiting(state, service, gauge, name, mine) {
  const own = live(state, service).map((s) => s.metrics[gauge]).filter(known);
  return own.length ? Math.max(...own) : lag(state, name, mine);
}

function lag(state, name, mine) {
  const found = state.lags.filter((l) => l.topic === name && mine(l.group));
  return found.length ? Math.max(...found.map((l) => l.records)) : null;
}

const monitors = (group) => group.includes('monitor');
const others = (group) => !monitors(group);
const lastOf = (series) => (series && series.length ? series[series.length - 1] : null);

function tone(state, service) {
  const all = state.services.filter((s) => s.service === service);
  if (!all.length) return 'idle';
  if (all.some((s) => s.state === 'failed')) return 'bad';
  const up = live(state, service);
  if (!up.length) return all.every((s) => s.state === 'stopped') ? 'idle' : 'bad';
  return up.some((s) => s.state === 'running') ? 'good' : 'warn';
}

function node(name, serviceTone, big, small) {
  const element = document.querySelector(`[data-node="${name}"]`);
  element.dataset.tone = serviceTone;
  text(element.querySelector('.big'), big);
  text(element.querySelector('.small'), small);
}

function edge(name, { rate, rateText, lagText = '', behind = false, returning = false, flowing }) {
  const element = document.querySelector(`[data-edge="${name}"]`);
  text(element.querySelector('.rate'), rateText);
  const lagElement = element.querySelector('.lag');
  text(lagElement, lagText);
  lagElement.classList.toggle('behind', behind);
  element.classList.toggle('flowing', flowing ?? rate > 0.05);
  element.classList.toggle('returning', returning);
  // Six steps are enough to feel, and a steady speed does not make the line jump each second.
  const speed = [4, 2.4, 1.6, 1.1, 0.8, 0.6][Math.min(5, Math.floor(Math.log2(1 + (rate || 0))))];
  element.style.setProperty('--speed', `${speed}s`);
}

const behindText = (records) => (!known(records) ? '' : records === 0 ? 'no lag' : `lag ${count(records)}`);

function loop(state) {
  const requests = flowRate(state, 'mirror', 'delivered_total', 'requests');
  const labels = flowRate(state, 'scorer', 'labels_total', 'soft-labels');
  const rollouts = flowRate(state, 'scorer', 'rollouts_scored_total', 'rollouts');
  const compared = flowRate(state, 'monitor', 'probe_compared_requests_total', 'divergences');
  const training = state.training;
  const served = state.snapshots.find((s) => s.version === state.served_version);
  const newest = lastOf(state.snapshots);
  const report = lastOf(curves.drift.get('*'));
  const requestLag = waiting(state, 'scorer', 'requests_lag', 'requests', others);
  const labelLag = waiting(state, 'trainer', 'labels_lag', 'soft-labels', others);
  const probeLag = lag(state, 'soft-labels', monitors);
  const detail = (service) => live(state, service)[0]?.detail ?? '';

  node('mirror', tone(state, 'mirror'), known(requests) ? `${perSecond(requests)} requests/s` : 'no traffic yet',
    topic(state, 'requests') ? `${count(topic(state, 'requests').records)} kept · ${bytes(topic(state, 'requests').bytes)}` : 'waiting for the first request');
  edge('requests', {
    rate: requests,
    rateText: 'requests',
    lagText: behindText(requestLag),
    behind: requestLag > 10 * Math.max(1, requests),
  });
  node('scorer', tone(state, 'scorer'), known(labels) ? `${perSecond(labels)} labels/s` : 'no labels yet',
    topic(state, 'soft-labels') ? `${count(topic(state, 'soft-labels').records)} soft labels · ${bytes(topic(state, 'soft-labels').bytes)}` : detail('scorer'));
  edge('labels', {
    rate: labels,
    rateText: 'soft labels',
    lagText: [behindText(labelLag), rollouts > 0.05 ? `rollouts ${perSecond(rollouts)}/s` : ''].filter(Boolean).join(' · '),
    behind: labelLag > 10 * Math.max(1, labels),
    returning: rollouts > 0.05,
  });
  const stages = { waiting: 'waiting', on_data: 'learning from data', on_policy: 'learning on its own words', unknown: 'unknown stage' };
  node('trainer', tone(state, 'trainer'), training ? `step ${count(training.step)}` : 'not started',
    training ? `${stages[training.stage] ?? training.stage}${training.lambda > 0 ? ` · λ ${training.lambda.toFixed(2)}` : ''}` : 'waiting for the first labels…');
  edge('publish', {
    rate: 1,
    flowing: Boolean(newest) && state.at - newest.created_at < 15_000,
    rateText: newest ? plural(state.snapshots.length, 'snapshot') : 'no snapshot yet',
    lagText: newest ? `last ${span(state.at - newest.created_at)} ago` : '',
  });
  node('snapshot', newest ? 'good' : 'idle', newest ? `version ${newest.version}` : 'none yet',
    newest ? [bytes(newest.bytes), newest.quantisation, known(newest.quality.agreement) ? `agreement ${percent(newest.quality.agreement)}` : ''].filter(Boolean).join(' · ') : 'published once the student is worth it');
  const move = lastOf(state.moves);
  edge('serve', {
    rate: 1,
    flowing: Boolean(move) && state.at - move.at < 15_000,
    rateText: state.channel,
    lagText: move ? (newest && newest.version > move.version ? `${newest.version - move.version} behind` : 'up to date') : '',
    behind: Boolean(move?.rollback),
  });
  node('server', tone(state, 'server'), known(state.served_version) ? `serves version ${state.served_version}` : 'nothing to serve yet',
    served ? `${count(served.parameters)} parameters` + (detail('server') ? ` · ${detail('server')}` : '') : detail('server'));
  edge('served', { rate: compared, rateText: 'as served', lagText: report ? `version ${report[DRIFT.version]}` : '' });
  const raised = state.alerts.active.length;
  node('monitor', raised ? 'bad' : tone(state, 'monitor'),
    report ? `${nats(report[DRIFT.kl])} nats` : 'not measured yet',
    raised ? `${plural(raised, 'alert')} raised` : report ? `agreement ${percent(report[DRIFT.agreement])}` : 'waiting for the first window');
  edge('compared', { rate: compared, rateText: known(compared) ? `${perSecond(compared)} compared/s` : '', lagText: behindText(probeLag), behind: probeLag > 10 * Math.max(1, compared) });
}

function summary(state) {
  const up = ['mirror', 'scorer', 'trainer', 'server', 'monitor'].filter((s) => live(state, s).length).length;
  const parts = [up ? `${up} of 5 services up` : 'no service up'];
  if (known(state.served_version)) parts.push(`serving version ${state.served_version}`);
  if (state.training) parts.push(`${count(state.training.tokens)} tokens trained`);
  text(byId('summary'), parts.join(' · '));
  document.title = state.alerts.active.length ? `(${state.alerts.active.length}) Reflux` : 'Reflux';
}

function banners(state) {
  const box = byId('active-alerts');
  const active = state.alerts.active;
  const wanted = new Map(active.slice(0, BANNERS).map((a) => [a.id, [`${a.message}, since `, clock(a.at)]]));
  if (active.length > BANNERS) wanted.set('more', [`in ${plural(active.length - BANNERS, 'further segment')}, see `, 'Alerts']);
  for (const old of [...box.children]) if (!wanted.has(old.dataset.id)) old.remove();
  for (const [id, parts] of wanted) {
    const fresh = make('p', { className: 'banner bad', 'data-id': id }, make('strong', { textContent: 'Drift ' }), parts.join(''));
    const old = [...box.children].find((c) => c.dataset.id === id);
    if (!old) box.append(fresh);
    else if (!old.isEqualNode(fresh)) old.replaceWith(fresh);
  }
}

function alerts(state) {
  const list = byId('alerts');
  document.querySelector('[data-empty="alerts"]').hidden = state.alerts.recent.length > 0;
  const items = state.alerts.recent.slice(0, 30).map((a) =>
    make('li', { className: a.state },
      make('p', { className: 'what', textContent: `${a.segment === '*' ? 'All traffic' : a.segment} ${a.state}` }),
      make('p', { className: 'why', textContent: `${a.metric} ${nats(a.value)}, threshold ${nats(a.threshold)}, version ${a.student_version}` }),
      make('time', { textContent: clock(a.at), datetime: new Date(a.at).toISOString() })));
  items.forEach((item, i) => {
    const old = list.children[i];
    if (!old) list.append(item);
    else if (!old.isEqualNode(item)) old.replaceWith(item);
  });
  while (list.children.length > items.length) list.lastChild.remove();
}

function trend(series, threshold) {
  const recent = series.slice(-40);
  const logs = recent.map((p) => Math.log10(Math.max(p[DRIFT.kl], 0.001)));
  const limit = Math.log10(threshold);
  const low = Math.min(...logs, limit) - 0.05;
  const high = Math.max(...logs, limit) + 0.05;
  const y = (v) => (21 - (20 * (v - low)) / (high - low)).toFixed(1);
  const x = (i) => ((96 * i) / Math.max(1, recent.length - 1)).toFixed(1);
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('class', 'trend');
  svg.setAttribute('viewBox', '0 0 96 22');
  svg.setAttribute('aria-hidden', 'true');
  const level = document.createElementNS(ns, 'line');
  for (const [k, v] of Object.entries({ x1: 0, x2: 96, y1: y(limit), y2: y(limit) })) level.setAttribute(k, v);
  const path = document.createElementNS(ns, 'polyline');
  path.setAttribute('points', logs.map((v, i) => `${x(i)},${y(v)}`).join(' '));
  svg.append(level, path);
  return svg;
}

function segments(state) {
  const active = new Set(state.alerts.active.map((a) => a.segment));
  const names = [...curves.drift.keys()].filter((n) => curves.drift.get(n).length);
  names.sort((a, b) => (a === '*' ? -1 : b === '*' ? 1 : lastOf(curves.drift.get(b))[DRIFT.kl] - lastOf(curves.drift.get(a))[DRIFT.kl]));
  rows('segments', names.map((name) => {
    const series = curves.drift.get(name);
    const p = lastOf(series);
    const head = make('th', { scope: 'row', textContent: name === '*' ? 'All traffic' : name });
    if (active.has(name)) head.append(make('span', { className: 'tag bad', textContent: 'alert' }));
    const kl = number(nats(p[DRIFT.kl]), p[DRIFT.kl] > state.drift.raise_threshold ? 'over' : '');
    if (known(p[DRIFT.error])) kl.append(make('span', { className: 'delta', textContent: ` ± ${nats(p[DRIFT.error])}` }));
    return make('tr', { className: name === '*' ? 'all' : '' }, head, kl,
      make('td', {}, trend(series, state.drift.raise_threshold)),
      number(percent(p[DRIFT.agreement])), number(percent(p[DRIFT.acceptance])), number(nats(p[DRIFT.entropy])),
      number(count(p[DRIFT.requests])));
  }));
}

function snapshots(state) {
  const list = [...state.snapshots].reverse();
  rows('snapshots', list.map((s) => {
    const before = state.snapshots.find((o) => o.version === s.parent);
    const head = make('th', { scope: 'row', textContent: String(s.version) });
    const served = s.version === state.served_version;
    if (served) head.append(make('span', { className: 'tag', textContent: 'served' }));
    const agreement = number(percent(s.quality.agreement));
    if (before && known(s.quality.agreement) && known(before.quality.agreement)) {
      const change = (s.quality.agreement - before.quality.agreement) * 100;
      agreement.append(make('span', { className: 'delta', textContent: ` ${change >= 0 ? '+' : '−'}${Math.abs(change).toFixed(1)}` }));
    }
    return make('tr', { className: served ? 'served' : '' }, head,
      cell(clock(s.created_at)), agreement, number(nats(s.quality.kl)), number(count(s.training_step)),
      number(count(s.tokens_trained)), number(bytes(s.bytes)), cell(s.quantisation),
      make('td', {}, make('code', { textContent: s.fingerprint.slice(0, 12) })));
  }));
}

function services(state) {
  rows('services', state.services.map((s) => {
    const shown = s.silent ? 'silent' : s.state;
    const kind = s.silent || s.state === 'failed' ? 'bad' : s.state === 'running' ? 'good' : s.state === 'stopped' ? 'idle' : 'warn';
    return make('tr', {},
      make('th', { scope: 'row', textContent: s.service, title: s.instance }),
      make('td', {}, make('span', { className: 'state', 'data-tone': kind }, make('span', { className: 'dot', 'aria-hidden': 'true' }), shown)),
      cell(s.detail), number(s.state === 'stopped' ? '–' : span(s.at - s.started_at)));
  }));
}

function topics(state) {
  rows('topics', state.topics.map((t) => {
    const lags = state.lags.filter((l) => l.topic === t.name);
    const worst = lags.length ? Math.max(...lags.map((l) => l.records)) : null;
    const lagCell = number(known(worst) ? count(worst) : '–');
    if (lags.length) lagCell.title = lags.map((l) => `${l.group}: ${l.records}`).join('\n');
    return make('tr', {}, make('th', { scope: 'row', textContent: t.name }),
      number(count(t.records)), number(perSecond(t.records_per_second)), number(bytes(t.bytes)),
      number(known(t.bytes_per_second) ? bytes(t.bytes_per_second) : '–'), lagCell);
  }));
}

function now(id, value, note) {
  const element = byId(id);
  if (value === null) {
    element.replaceChildren();
    return '';
  }
  const fresh = make('p', {}, make('b', { textContent: value }), note ? ` ${note}` : '');
  if (element.textContent !== fresh.textContent) element.replaceChildren(...fresh.childNodes);
  return element.textContent;
}

function plots(state) {
  const t = state.training;
  const report = lastOf(curves.drift.get('*'));
  const validation = t?.metrics.validation_agreement;
  const labels = {
    agreement: now('agreement-now', report ? percent(report[DRIFT.agreement]) : known(validation) ? percent(validation) : null,
      report ? `live${known(validation) ? ` · ${percent(validation)} held out` : ''}` : 'held out'),
    kl: now('kl-now', report ? nats(report[DRIFT.kl]) : null,
      report && known(report[DRIFT.error]) ? `± ${nats(report[DRIFT.error])} nats, all traffic` : 'nats, all traffic'),
    loss: now('loss-now', t && curves.training.length ? nats(t.loss) : null, 'nats a token'),
    throughput: now('throughput-now', t && curves.training.length ? perSecond(t.tokens_per_second) : null, 'tokens/s'),
  };
  const open = new Map();
  const bands = [];
  for (const a of [...state.alerts.recent].reverse()) {
    if (a.state === 'raised') open.set(a.id, a.at);
    else if (open.has(a.id)) {
      bands.push({ from: open.get(a.id), to: a.at });
      open.delete(a.id);
    }
  }
  for (const from of open.values()) bands.push({ from });
  draw({
    training: curves.training,
    drift: curves.drift,
    versions: state.moves,
    alerts: bands,
    raise: state.drift.raise_threshold,
    now: labels,
  });
}

function take(state) {
  if (state.full) {
    curves.training.length = 0;
    curves.drift.clear();
  }
  if (state.training) {
    if (state.training.student_name !== curves.student) {
      curves.student = state.training.student_name;
      curves.training.length = 0;
    }
    append(curves.training, state.training.points);
  }
  const named = new Set(state.drift.segments.map((s) => s.segment));
  for (const name of [...curves.drift.keys()]) if (!named.has(name)) curves.drift.delete(name);
  let fresh = state.full || state.training?.points.length > 0 || state.moves.length !== latest?.moves.length;
  for (const { segment, points } of state.drift.segments) {
    if (!curves.drift.has(segment)) curves.drift.set(segment, []);
    append(curves.drift.get(segment), points);
    fresh ||= points.length > 0;
  }
  fresh ||= state.alerts.recent.length !== latest?.alerts.recent.length;
  latest = state;
  lastHeard = Date.now();
  show(fresh);
}

let stale = true; // curves changed while nobody looked
function show(fresh) {
  stale ||= fresh;
  if (document.hidden || !latest) return;
  summary(latest);
  banners(latest);
  loop(latest);
  segments(latest);
  alerts(latest);
  snapshots(latest);
  services(latest);
  topics(latest);
  if (stale) {
    plots(latest);
    stale = false;
  }
}

function connection(up) {
  byId('link').dataset.tone = up ? 'good' : 'bad';
  text(byId('link-text'), up ? 'live' : 'offline');
  byId('lost').hidden = up;
  if (!up) text(byId('lost-at'), lastHeard ? clock(lastHeard) : 'before the page opened');
}

function listen() {
  const events = new EventSource('api/events');
  events.onopen = () => connection(true);
  events.onmessage = (event) => {
    connection(true);
    take(JSON.parse(event.data));
  };
  events.onerror = () => {
    connection(false);
    // A browser gives up after a refusal, and only then.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_MILLIS);
  };
}

draw = charts();
document.querySelectorAll('.plot').forEach((plot) => plot.classList.add('waiting'));
document.addEventListener('visibilitychange', () => show(false));
listen();
