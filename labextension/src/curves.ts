/** A run's losses as a small picture; the words of its title say the same. */
import { IRun } from './state';

const NS = 'http://www.w3.org/2000/svg';
const [WIDTH, HEIGHT, LEFT, FOOT] = [260, 96, 40, 16];

type Point = [number, number];

function svg(tag: string, attributes: Record<string, string | number>, words = ''): SVGElement {
  const node = document.createElementNS(NS, tag);
  Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, String(value)));
  node.textContent = words;
  return node;
}

const short = (value: number): string => String(Number(value.toPrecision(3)));

/** First and last values in words. */
export function summary(run: IRun): string {
  const said = ([['loss', run.loss], ['held out (dashed)', run.held_out]] as [string, Point[]][])
    .filter(([, points]) => points.length)
    .map(([label, points]) => `${label} ${short(points[0][1])} → ${short(points[points.length - 1][1])}`);
  return said.join(', ');
}

/** Null where no step is done. */
export function curves(run: IRun): SVGElement | null {
  const all = [...run.loss, ...run.held_out];
  if (!all.length) {
    return null;
  }
  const [xs, ys] = [all.map(point => point[0]), all.map(point => point[1])];
  const [x0, x1] = [Math.min(...xs), Math.max(run.num_steps, ...xs)];
  const [y0, y1] = [Math.min(...ys), Math.max(...ys)];
  const x = (value: number) => LEFT + ((value - x0) / (x1 - x0 || 1)) * (WIDTH - LEFT - 6);
  const y = (value: number) => 6 + ((y1 - value) / (y1 - y0 || 1)) * (HEIGHT - FOOT - 12);
  const root = svg('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: 'gptoss-lab-curves', role: 'img' });
  root.setAttribute('aria-label', `${run.name}: ${summary(run)}`);
  root.append(svg('title', {}, summary(run)));
  for (const value of new Set([y0, y1])) {
    root.append(svg('path', { d: `M${LEFT} ${y(value)}H${WIDTH - 6}`, class: 'gptoss-lab-grid' }));
    root.append(svg('text', { x: LEFT - 4, y: y(value) + 4, 'text-anchor': 'end' }, short(value)));
  }
  root.append(svg('text', { x: LEFT, y: HEIGHT - 3 }, `step ${x0}`));
  root.append(svg('text', { x: WIDTH - 6, y: HEIGHT - 3, 'text-anchor': 'end' }, String(x1)));
  for (const [points, kind] of [[run.loss, 'loss'], [run.held_out, 'held']] as [Point[], string][]) {
    const path = points.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(' ');
    root.append(svg('polyline', { points: path, class: `gptoss-lab-line-${kind}` }));
    const [a, b] = points[points.length - 1] ?? [x0, NaN];
    if (Number.isFinite(b)) {
      root.append(svg('circle', { cx: x(a), cy: y(b), r: 2.5, class: `gptoss-lab-dot-${kind}` }));
    }
  }
  return root;
}
