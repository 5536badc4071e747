// The loop's curves.

import { begin, colours, line, make, percent, points, show } from './curves.js';

const SEGMENT_LINES = 7;
const KL_FLOOR = 0.001; // a logarithmic axis has no zero

export function charts() {
  let all = {};
  let redraw = () => {};
  begin(() => Object.values(all), () => redraw());
  const share = { min: 0, max: 1, ticks: { callback: percent } };
  all = {
    agreement: make('agreement', share, true),
    kl: make('kl', {
      type: 'logarithmic',
      beginAtZero: false,
      ticks: { callback: (v) => ([0.001, 0.01, 0.1, 1, 10].includes(v) ? String(v) : '') },
    }, true),
    loss: make('loss', {}, false),
    throughput: make('throughput', { ticks: { callback: (v) => Intl.NumberFormat('en', { notation: 'compact' }).format(v) } }, false),
  };

  /**
   * @param loop {training: rows, drift: Map of segment to rows, versions, alerts, raise, now: labels by chart}
   */
  function draw(loop) {
    redraw = () => draw(loop);
    const colour = colours();
    const everything = loop.drift.get('*') ?? [];
    const common = { versions: loop.versions };
    show(all.agreement, [
      line('on live traffic, as served', points(everything, 7), colour.accent),
      line('on held-out labels', points(loop.training, 6), colour.teacher, { spanGaps: true }),
    ], common, loop.now.agreement);

    const segments = [...loop.drift.entries()]
      .filter(([name, rows]) => name !== '*' && rows.length)
      .sort(([, a], [, b]) => requests(b) - requests(a) )
      .slice(0, SEGMENT_LINES)
      .sort(([a], [b]) => a.localeCompare(b));
    const floor = (v) => Math.max(v, KL_FLOOR);
    show(all.kl, [
      line('all traffic', points(everything, 4, floor), colour.ink, { borderWidth: 2.6, order: -1 }),
      ...segments.map(([name, rows], i) =>
        line(name, points(rows, 4, floor), colour.segments[i % colour.segments.length], { borderWidth: 1.3 })),
    ], { ...common, alerts: loop.alerts, limit: loop.raise }, loop.now.kl);

    show(all.loss, [line('loss, nats a token', points(loop.training, 2), colour.teacher)], common, loop.now.loss);
    show(all.throughput, [
      line('tokens/s', points(loop.training, 4), colour.accent, { fill: false }),
    ], common, loop.now.throughput);
  }
  return draw;
}

function requests(rows) {
  return rows.slice(-30).reduce((sum, row) => sum + row[2], 0);
}
