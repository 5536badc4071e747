// Figures as people read them, and text put on a page.

/* Figures */
export const known = (value) => value !== null && value !== undefined && Number.isFinite(value);
export const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
export const whole = new Intl.NumberFormat('en');
export const count = (v) => (!known(v) ? '–' : Math.abs(v) < 10_000 ? whole.format(Math.round(v)) : compact.format(v));
export const perSecond = (v) => (!known(v) ? '–' : v >= 100 ? compact.format(Math.round(v)) : v >= 10 ? v.toFixed(0) : v.toFixed(1));
export const nats = (v) => (!known(v) ? '–' : v >= 10 ? v.toFixed(1) : v >= 1 ? v.toFixed(2) : v.toFixed(3));
export const percent = (v) => (!known(v) ? '–' : `${(v * 100).toFixed(1)} %`);
export const plural = (n, word) => `${count(n)} ${word}${n === 1 ? '' : 's'}`;

export function bytes(v) {
  if (!known(v)) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (v >= 1024 && unit < units.length - 1) {
    v /= 1024;
    unit++;
  }
  return `${unit === 0 || v >= 100 ? v.toFixed(0) : v.toFixed(1)} ${units[unit]}`;
}

export function span(millis) {
  const s = Math.max(0, Math.round(millis / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

/* Small DOM helpers: text only, never markup from data. */
export function text(element, value) {
  if (element.textContent !== value) element.textContent = value;
}

export function make(tag, { className, textContent, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (textContent !== undefined) element.textContent = textContent;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export const cell = (value, className) => make('td', { className, textContent: value });
export const number = (value, more = '') => cell(value, `num ${more}`.trim());

/** Replaces rows, but only when they read differently: focus and selection stay. */
export function rows(id, list) {
  const table = document.getElementById(id);
  const body = table.tBodies[0];
  table.hidden = list.length === 0;
  document.querySelector(`[data-empty="${id}"]`).hidden = list.length > 0;
  list.forEach((row, i) => {
    const old = body.rows[i];
    if (!old) body.append(row);
    else if (!old.isEqualNode(row)) old.replaceWith(row);
  });
  while (body.rows.length > list.length) body.deleteRow(-1);
}
