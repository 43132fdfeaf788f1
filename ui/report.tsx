import { render } from 'preact';
import type { ReportData } from '../src/runs/report-data.js';
import './parts/base.css';
import './report/report.css';
import { Report } from './report/report.js';

const root = document.getElementById('report')!,
  data = JSON.parse(document.getElementById('run')!.textContent ?? '') as ReportData;
root.replaceChildren();
render(<Report data={data} />, root);
