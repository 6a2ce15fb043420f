import { LabIcon } from '@jupyterlab/ui-components';

/** A router: one way in, four ways out, two of them taken. */
const svgstr =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">' +
  '<g class="jp-icon3" fill="none" stroke="#616161" stroke-width="1.3">' +
  '<path d="M1 8h4M6.5 7 12 2.5M7 8.8l5 4.2" class="jp-icon3"/>' +
  '<path d="M7 7.7 12 6M7 8.3l5 1.5" stroke-opacity="0.45" class="jp-icon3"/></g>' +
  '<g class="jp-icon3" fill="#616161"><circle cx="5.8" cy="8" r="1.8"/><circle cx="13" cy="2.2" r="1.5"/>' +
  '<circle cx="13" cy="13.6" r="1.5"/><circle cx="13.2" cy="5.9" r="1" opacity=".6"/>' +
  '<circle cx="13.2" cy="10" r="1" opacity=".6"/></g></svg>';

export const icon = new LabIcon({ name: 'gptoss:router', svgstr });
export const iconUrl = `data:image/svg+xml,${encodeURIComponent(svgstr)}`;
