// Curves over time, on every page. Each chart is told the whole of its data; Chart.js draws only
// when something changed.

const BOUND = 600;

// Distinguishable for most forms of colour blindness, in light and in dark.
const PALETTE = {
  light: ['#0d8075', '#5558c8', '#b45f06', '#a8326e', '#2b6cb0', '#6b7f1f', '#8a4fb5'],
  dark: ['#35b8a9', '#9a9cf2', '#e3a04f', '#e07bb0', '#6db1ea', '#b9cc5a', '#c79bea'],
};

const dark = window.matchMedia('(prefers-color-scheme: dark)');
const still = window.matchMedia('(prefers-reduced-motion: reduce)');

/** Adds points, thinning the older half when there are too many, as the server does. */
export function append(series, points) {
  for (const point of points) {
    if (series.length >= BOUND) {
      const half = series.length >> 1;
      const kept = series.filter((_, i) => i >= half || i % 2 === 0);
      series.length = 0;
      series.push(...kept);
    }
    series.push(point);
  }
}

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const STEPS = [5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 604_800].map((s) => s * SECOND);

const withSeconds = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' });
const withMinutes = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const withDay = new Intl.DateTimeFormat([], { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

const steps = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

export const clock = (at) => (Date.now() - at > 20 * HOUR ? withDay : withSeconds).format(at);

/** Ticks on round times: a linear axis would put them anywhere. */
function timeTicks(axis) {
  const room = Math.max(2, Math.floor(axis.width / 90));
  const step = STEPS.find((s) => (axis.max - axis.min) / s <= room) ?? STEPS[STEPS.length - 1];
  const zone = new Date(axis.min).getTimezoneOffset() * MINUTE;
  const format = step < MINUTE ? withSeconds : step < 6 * HOUR ? withMinutes : withDay;
  axis.$format = format;
  axis.ticks = [];
  for (let at = Math.ceil((axis.min - zone) / step) * step + zone; at <= axis.max; at += step) {
    axis.ticks.push({ value: at });
  }
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function colours() {
  return {
    ink: css('--ink'),
    muted: css('--muted'),
    faint: css('--faint'),
    accent: css('--accent'),
    teacher: css('--teacher'),
    bad: css('--bad'),
    segments: dark.matches ? PALETTE.dark : PALETTE.light,
  };
}

/** Marks behind the lines: when a version went out, and while an alert stood. */
const marks = {
  id: 'marks',
  beforeDatasetsDraw(chart) {
    const { versions = [], alerts = [], limit } = chart.$marks ?? {};
    const { ctx, chartArea: area, scales: { x, y } } = chart;
    const colour = colours();
    ctx.save();
    ctx.beginPath();
    ctx.rect(area.left, area.top - 14, area.width, area.height + 14);
    ctx.clip();
    ctx.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    for (const alert of alerts) {
      const from = Math.max(x.getPixelForValue(alert.from), area.left);
      const to = Math.min(x.getPixelForValue(alert.to ?? x.max), area.right);
      ctx.globalAlpha = 0.1;
      ctx.fillStyle = colour.bad;
      ctx.fillRect(from, area.top, Math.max(1, to - from), area.height);
    }
    ctx.globalAlpha = 1;
    let last = -Infinity;
    for (const { at, version } of versions) {
      const px = Math.round(x.getPixelForValue(at)) + 0.5;
      if (px < area.left || px > area.right) continue;
      ctx.strokeStyle = colour.faint;
      ctx.beginPath();
      ctx.moveTo(px, area.top);
      ctx.lineTo(px, area.bottom);
      ctx.stroke();
      if (px - last > 26) {
        ctx.fillStyle = colour.muted;
        ctx.textAlign = 'center';
        ctx.fillText(`v${version}`, Math.min(Math.max(px, area.left + 9), area.right - 9), area.top - 4);
        last = px;
      }
    }
    if (limit !== undefined && limit >= y.min && limit <= y.max) {
      const py = Math.round(y.getPixelForValue(limit)) + 0.5;
      ctx.strokeStyle = colour.bad;
      ctx.setLineDash([5, 4]);
      ctx.beginPath();
      ctx.moveTo(area.left, py);
      ctx.lineTo(area.right, py);
      ctx.stroke();
      ctx.fillStyle = colour.bad;
      ctx.textAlign = 'left';
      ctx.fillText('alert above', area.left + 5, py - 5);
    }
    ctx.restore();
  },
};

/**
 * @param y options of the axis of values
 * @param along 'time', in milliseconds, or 'step'
 */
export function make(id, y, legend, along = 'time') {
  const x = along === 'time'
    ? { ticks: { maxRotation: 0, autoSkip: false, align: 'inner', callback(value) { return this.$format.format(value); } }, afterBuildTicks: timeTicks }
    : { ticks: { maxRotation: 0, maxTicksLimit: 6, align: 'inner', callback: (value) => (Number.isInteger(value) ? steps.format(value) : '') } };
  const canvas = document.getElementById(id);
  const chart = new Chart(canvas, {
    type: 'line',
    data: { datasets: [] },
    plugins: [marks],
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      normalized: true,
      parsing: false,
      layout: { padding: { top: 16, right: 4 } },
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      elements: { point: { radius: 0, hoverRadius: 3, hitRadius: 8 }, line: { borderWidth: 1.8, borderJoinStyle: 'round' } },
      scales: {
        x: {
          type: 'linear',
          grid: { display: false },
          ...x,
        },
        y: { beginAtZero: true, border: { display: false }, ...y, ticks: { maxTicksLimit: 6, ...(y.ticks ?? {}) } },
      },
      plugins: {
        legend: { display: legend, position: 'bottom', labels: { boxWidth: 18, boxHeight: 0, padding: 12, font: { size: 12 } } },
        tooltip: {
          animation: still.matches ? false : { duration: 120 },
          callbacks: { title: (items) => (!items.length ? '' : along === 'time' ? clock(items[0].parsed.x) : `step ${items[0].parsed.x}`) },
        },
      },
    },
  });
  paint(chart);
  return { chart, canvas, box: canvas.parentElement, least: along === 'time' ? 10 * SECOND : 1 };
}

function paint(chart) {
  const colour = colours();
  chart.options.color = colour.muted;
  for (const axis of Object.values(chart.options.scales)) {
    axis.ticks.color = colour.muted;
    axis.grid = { ...axis.grid, color: colour.faint };
  }
}

export function line(label, data, colour, more = {}) {
  return { label, data, borderColor: colour, backgroundColor: colour, ...more };
}

export function show({ chart, canvas, box, least }, datasets, newMarks, label) {
  const filled = datasets.some((d) => d.data.length > 0);
  box.classList.toggle('waiting', !filled);
  canvas.setAttribute('aria-label', label);
  // Lines are kept, not replaced, so that a legend click survives the next second.
  const hidden = new Set(
    chart.data.datasets.filter((_, i) => !chart.isDatasetVisible(i)).map((d) => d.label));
  chart.$marks = newMarks;
  chart.data.datasets = datasets.map((d) => ({ ...d, hidden: hidden.has(d.label) }));
  const [x0, x1] = range(datasets, least);
  chart.options.scales.x.min = x0;
  chart.options.scales.x.max = x1;
  chart.update('none');
}

function range(datasets, least) {
  let from = Infinity;
  let to = -Infinity;
  for (const { data } of datasets) {
    if (data.length) {
      from = Math.min(from, data[0].x);
      to = Math.max(to, data[data.length - 1].x);
    }
  }
  return from > to ? [undefined, undefined] : [from, Math.max(to, from + least)];
}

export const points = (rows, column, map = (v) => v) =>
  rows.filter((row) => row[column] !== null).map((row) => ({ x: row[0], y: map(row[column]) }));

export const percent = (value) => `${Math.round(value * 100)} %`;

/** The page's font, and colours again whenever the machine turns dark or light. */
export function begin(all, redraw) {
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  Chart.defaults.font.size = 12;
  dark.addEventListener('change', () => {
    all().forEach(({ chart }) => paint(chart));
    redraw();
  });
}
