import { begin, clock, colours, line, make as chart, percent as wholePercent, show } from './curves.js';
import { bytes, cell, count, known, make, nats, number, percent, perSecond, rows, span, text } from './figures.js';

const EVERY_MILLIS = 2000;
const byId = (id) => document.getElementById(id);
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const small = (v) => (!known(v) ? '–' : v !== 0 && Math.abs(v) < 0.001 ? v.toExponential(1) : v < 10 ? v.toFixed(3) : compact.format(v));
const READ = { nats, share: percent, count, rate: perSecond, bytes, number: small };

const TILES = [
  ['loss', 'Loss, nats'],
  ['validation_agreement', 'Agreement, held out'],
  ['validation_kl', 'KL, held out'],
  ['lambda', 'λ, on-policy share'],
  ['learning_rate', 'Learning rate'],
  ['gradient_norm', 'Gradient norm'],
  ['tokens_per_second', 'Tokens/s'],
  ['mfu', 'MFU'],
  ['staleness_versions', 'Staleness, versions'],
  ['skipped_steps', 'Skipped steps'],
  ['resident_bytes', 'Memory'],
];

let run = null;
let heard = 0;
let drawn = new Map();

function figures() {
  const f = run.now?.figures ?? {};
  const tiles = TILES.filter(([key]) => known(f[key]));
  const list = byId('tiles');
  const fresh = [
    ...(run.now ? [['Step', count(run.now.step), ''], ['Stage', run.now.stage.replace('_', ' '), '']] : []),
    ...tiles.map(([key, name]) => [name, READ[run.catalogue[key].unit](f[key]), run.catalogue[key].help]),
  ].map(([name, value, help]) => make('div', { className: 'tile', title: help }, make('dt', { textContent: name }), make('dd', { textContent: value })));
  replace(list, fresh);
}

/** Only what reads differently is replaced: focus and selection stay. */
function replace(list, fresh) {
  fresh.forEach((item, i) => {
    const old = list.children[i];
    if (!old) list.append(item);
    else if (!old.isEqualNode(item)) old.replaceWith(item);
  });
  while (list.children.length > fresh.length) list.lastChild.remove();
}

function pipeline() {
  const f = run.now?.figures ?? {};
  const stages = [
    ['Labels', `${perSecond(f.labels_per_second)}/s`, known(f.labels_lag) ? `${count(f.labels_lag)} wait` : ''],
    ['Training', `${perSecond(f.tokens_per_second)} tokens/s`, `${perSecond(f.steps_per_second)} steps/s`],
    ['Rollouts', `${perSecond(f.rollouts_per_second)}/s`, 'written by the student'],
    ['Scored', `${perSecond(f.rollout_labels_per_second)}/s`, known(f.rollouts_held) ? `${count(f.rollouts_held)} kept` : ''],
  ];
  const bottleneck = run.now?.bottleneck ?? null;
  replace(byId('pipeline'), stages.map(([name, rate, more]) => make('li', {}, make('p', { className: 'small', textContent: name }), make('p', { className: 'big', textContent: rate }), make('p', { className: 'small', textContent: more }))));
  const note = bottleneck ? make('p', {}, 'held back by ', make('b', { textContent: bottleneck })) : make('p', {});
  if (byId('bottleneck').textContent !== note.textContent) byId('bottleneck').replaceChildren(...note.childNodes);
}

function slices(by, id, columns) {
  const of = run.now?.slices?.[by] ?? {};
  rows(id, Object.entries(of).map(([name, f]) =>
    make('tr', {}, make('th', { scope: 'row', textContent: name }), ...columns.map((key) => number(READ[run.catalogue[key].unit](f[key]))))));
}

function list(id, items) {
  document.querySelector(`[data-empty="${id}"]`).hidden = items.length > 0;
  const tone = { published: 'cleared', held_back: 'raised', snapshot_failed: 'raised', skipped: 'raised', rewound: 'raised' };
  replace(byId(id), [...items].reverse().map((h) =>
    make('li', { className: tone[h.kind] ?? '' },
      make('p', { className: 'what', textContent: `${h.kind.replace('_', ' ')}, step ${count(h.step)}` }),
      make('p', { className: 'why', textContent: h.text }),
      make('time', { textContent: clock(h.at), datetime: new Date(h.at).toISOString() }))));
}

/** In the order of the panels, whenever its figures become known. */
function frame(id, title) {
  const figure = make('figure', { className: 'card', id: `plot-${id}` },
    make('figcaption', {}, make('h2', { textContent: title }), make('p', { className: 'now' })),
    make('div', { className: 'plot' }, make('canvas', { id: `canvas-${id}`, role: 'img' })));
  const order = run.panels.map((panel) => `plot-${panel.id}`);
  const after = [...byId('charts').children].find((other) => order.indexOf(other.id) > order.indexOf(figure.id));
  byId('charts').insertBefore(figure, after ?? null);
  return figure;
}

function curves() {
  const s = run.series;
  const colour = colours();
  const palette = [colour.teacher, colour.accent, colour.segments[2], colour.segments[3]];
  const versions = [];
  let published = 0;
  for (const h of run.gate) {
    if (h.kind === 'published') versions.push({ at: h.step, version: h.text.match(/Snapshot (\d+)/)?.[1] ?? ++published });
  }
  for (const { id, title } of run.panels) {
    const keys = Object.keys(run.catalogue).filter((key) => run.catalogue[key].panel === id && s[key]?.some(known));
    if (!keys.length) continue;
    const figure = byId(`plot-${id}`) ?? frame(id, title);
    const unit = run.catalogue[keys[0]].unit;
    if (!drawn.has(id)) {
      const ticks = { callback: (v) => (unit === 'share' ? wholePercent(v) : unit === 'bytes' ? `${compact.format(v)}B` : v !== 0 && Math.abs(v) < 0.01 ? String(Number(v.toPrecision(2))) : compact.format(v)) };
      drawn.set(id, chart(`canvas-${id}`, { ...(unit === 'share' && id === 'agreement' ? { max: 1 } : {}), ticks }, true, 'step'));
    }
    const datasets = keys.map((key, i) => line(run.catalogue[key].label,
      s.step.map((x, j) => ({ x, y: s[key][j] })).filter((p) => known(p.y)), palette[i % palette.length], { spanGaps: true }));
    const last = datasets[0].data.at(-1);
    const now = READ[unit](last.y);
    text(figure.querySelector('.now'), now);
    show(drawn.get(id), datasets, { versions }, `${title} over steps, now ${now}`);
  }
}

function settings() {
  document.querySelector('[data-empty="settings"]').hidden = true;
  rows('settings', Object.entries(run.settings).map(([key, value]) =>
    make('tr', {}, make('th', { scope: 'row', textContent: key.replace('reflux.train.', '') }), cell(value === '' ? '–' : value))));
}

function draw() {
  if (!run || document.hidden) return;
  const n = run.now;
  text(byId('summary'), n ? `${run.student} · ${count(n.tokens)} tokens trained · up for ${span(Date.now() - run.started_at)}` : `${run.student} · starting`);
  text(byId('files'), run.run ? `Files in runs/${run.run}.` : '');
  document.title = n ? `${count(n.step)} · Reflux trainer` : 'Reflux trainer';
  figures();
  pipeline();
  slices('segment', 'segments', ['share', 'training_agreement', 'validation_agreement', 'validation_kl']);
  slices('objective', 'objectives', ['loss', 'kl', 'cross_entropy', 'training_agreement']);
  list('gate', run.gate);
  list('happenings', run.happenings.filter((h) => !run.gate.some((g) => g.at === h.at && g.text === h.text)));
  settings();
  curves();
}

function connection(up) {
  byId('link').dataset.tone = up ? 'good' : 'bad';
  text(byId('link-text'), up ? 'live' : 'offline');
  byId('lost').hidden = up;
  if (!up) text(byId('lost-at'), heard ? clock(heard) : 'before the page opened');
}

async function poll() {
  if (!document.hidden) {
    try {
      const answer = await fetch('api/run', { cache: 'no-store' });
      if (!answer.ok) throw new Error(answer.statusText);
      run = await answer.json();
      heard = Date.now();
      connection(true);
      draw();
    } catch (error) {
      connection(false);
      if (!(error instanceof TypeError)) console.error(error);
    }
  }
  setTimeout(poll, EVERY_MILLIS);
}

begin(() => [...drawn.values()], draw);
document.addEventListener('visibilitychange', draw);
poll();
