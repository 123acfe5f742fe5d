// Shows the jobs: those of the server, polled each second, or those of the report that this file is part of.
"use strict";

const PERIOD = 1000;
const find = (id) => document.getElementById(id);
const report = find("data") && JSON.parse(find("data").textContent);

let overview = null; // all jobs, without details
let details = null; // the selected job
let drawn = null; // number of the job whose stages are drawn
let selection = null; // the selected span of the task stream

// ---- numbers ----

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024;
    unit += 1;
  }
  return `${unit > 0 && n < 100 ? n.toFixed(1) : Math.round(n)} ${units[unit]}`;
}

function seconds(s) {
  if (s === null || s === undefined) return "";
  if (s < 0.001) return `${(s * 1e6).toFixed(s < 0.00001 ? 1 : 0)} µs`;
  if (s < 1) return `${(s * 1e3).toFixed(s < 0.01 ? 1 : 0)} ms`;
  if (s < 100) return `${s.toFixed(s < 10 ? 2 : 1)} s`;
  if (s < 6000) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

const count = (n) => n.toLocaleString("en");
const percent = (share) => `${Math.floor(share * 100)} %`;
const orNothing = (n, format) => (n > 0 ? format(n) : "–");

// ---- elements ----

// Text is only ever set as text, so that names cannot become HTML.
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  Object.assign(made, properties);
  made.append(...children.filter((child) => child !== null));
  return made;
}

// Updates the children of `parent`, one for each item, and keeps those that exist already: they may have the focus.
function update(parent, items, key, make, change) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, position) => {
    const name = String(key(item));
    let child = known.get(name);
    known.delete(name);
    if (!child) {
      child = make(item);
      child.dataset.key = name;
    }
    if (parent.children[position] !== child) parent.insertBefore(child, parent.children[position] ?? null);
    change(child, item);
  });
  for (const child of known.values()) child.remove();
}

// A cell is a text, or an object with a `text` and a function `make` for its elements.
function rows(table, items, key, cells, className = () => "") {
  const numbers = [...table.tHead.rows[0].cells].map((head) => head.className);
  const make = () => element("tr", {}, ...numbers.map((name) => element("td", { className: name })));
  update(table.tBodies[0], items, key, make, (row, item) => {
    row.className = className(item);
    cells(item).forEach((cell, position) => {
      const { text, make: content } = typeof cell === "object" ? cell : { text: cell };
      const shown = row.cells[position];
      if (shown.dataset.shown === String(text)) return;
      shown.dataset.shown = String(text);
      shown.replaceChildren(content ? content() : String(text));
    });
  });
}

function tiles(list, items) {
  const make = ([name]) => element("div", {}, element("dt", { textContent: name }), element("dd"));
  update(list, items, ([name]) => name, make, (tile, [, value, note]) => {
    const text = `${value}|${note ?? ""}`;
    if (tile.dataset.shown === text) return;
    tile.dataset.shown = text;
    tile.lastChild.replaceChildren(String(value), note ? element("small", { textContent: note }) : "");
  });
}

const badge = (state) => ({ text: state, make: () => element("span", { className: `badge ${state}`, textContent: state }) });

function bar(share, label) {
  if (share === null) return "";
  const make = () => {
    const shown = element("progress", { max: 1, value: share });
    shown.setAttribute("aria-label", label);
    return element("span", {}, shown, percent(share));
  };
  return { text: share.toFixed(3), make };
}

// ---- all jobs ----

function showOverview() {
  const { totals, memory, jobs } = overview;
  find("program").textContent = `${overview.program} · process ${overview.process}`;
  const running = jobs.filter((job) => job.state === "running").length;
  document.title = `${running ? `(${running}) ` : ""}${overview.program} · holdall`;
  const ended = totals.jobs_completed + totals.jobs_failed + totals.jobs_cancelled;
  const list = [
    ["Jobs", count(totals.jobs_started), `${running} running, ${ended} ended`],
    ["Tasks", count(totals.tasks), totals.task_failures ? `${count(totals.task_failures)} attempts failed` : ""],
    ["Read", bytes(totals.input_bytes)],
    ["Shuffled", bytes(totals.shuffled_bytes), `${count(totals.shuffled_records)} records`],
    ["Spilled", bytes(totals.spilled_bytes)],
  ];
  if (memory) {
    const { used_bytes: used, peak_bytes: peak, limit_bytes: limit } = memory;
    list.push(["Memory budget", bytes(used), `peak ${bytes(peak)} of ${bytes(limit)}`]);
  }
  if (totals.workers_started) {
    list.push(["Workers", count(totals.workers_started), `${count(totals.workers_lost)} lost`]);
  }
  tiles(find("totals"), list);
  find("no-jobs").hidden = jobs.length > 0;
  const newestFirst = [...jobs].reverse();
  const link = (job) => ({
    text: job.job,
    make: () => element("a", { href: `#job-${job.job}`, textContent: job.job, title: `Details of job ${job.job}` }),
  });
  const cells = (job) => [
    link(job),
    job.action,
    { text: job.location, make: () => element("code", { textContent: job.location }) },
    badge(job.state),
    bar(job.progress, `Progress of job ${job.job}`),
    `${job.stages_done}/${job.stages}`,
    count(job.tasks_done),
    seconds(job.elapsed),
    orNothing(job.input_bytes, bytes),
    orNothing(job.shuffled_bytes, bytes),
    orNothing(job.spilled_bytes, bytes),
    orNothing(job.failures, count),
  ];
  rows(find("jobs"), newestFirst, (job) => job.job, cells, (job) => (job.job === selectedJob() ? "selected" : ""));
  const hidden = totals.jobs_started - jobs.length;
  find("footer").textContent = `holdall ${overview.version}${hidden > 0 ? `; ${count(hidden)} older jobs are not kept` : ""}`;
}

// The job of the URL, or else the last one.
function selectedJob() {
  const chosen = /^#job-(\d+)$/.exec(location.hash);
  if (chosen) return Number(chosen[1]);
  return overview && overview.jobs.length ? overview.jobs[overview.jobs.length - 1].job : null;
}

// ---- one job ----

function showJob() {
  find("job").hidden = details === null;
  if (details === null) return;
  const job = details;
  find("job-title").textContent = `Job ${job.job}: ${job.action} at ${job.location}`;
  tiles(find("job-tiles"), [
    ["State", job.state, job.executor],
    ["Time", seconds(job.elapsed), timeLeft(job)],
    ["Tasks", count(job.tasks_done)],
    ["Read", bytes(job.input_bytes), job.input_bytes ? `${bytes(job.input_bytes / Math.max(job.elapsed, 1e-6))}/s` : ""],
    ["Shuffled", bytes(job.shuffled_bytes)],
    ["Spilled", bytes(job.spilled_bytes)],
  ]);
  showError();
  showStages();
  showLanes();
  showFailures();
  drawStream();
  drawMemory();
}

function timeLeft(job) {
  if (job.state !== "running" || !job.progress || job.progress < 0.02) return "";
  return `about ${seconds((job.elapsed * (1 - job.progress)) / job.progress)} left`;
}

function place(of) {
  const names = {
    operator: "Method", location: "Line of the program", path: "File", line: "Line", record: "Record", offset: "Byte",
    key: "Key", stage: "Stage", partition: "Partition",
  };
  const known = Object.keys(names).filter((name) => of && of[name] !== null);
  const parts = known.map((name) => [element("dt", { textContent: names[name] }), element("dd", { textContent: of[name] })]);
  return element("dl", { className: "place" }, ...parts.flat());
}

function errorBox(title, message, of, isOpen) {
  return element("details", { className: "error", open: isOpen }, element("summary", { textContent: title }),
    element("pre", { textContent: message }), place(of));
}

function showError() {
  const errors = details.error === null ? [] : [details];
  const make = (job) => {
    const box = errorBox("The job has failed", job.error, job.error_place, true);
    box.setAttribute("role", "alert");
    return box;
  };
  update(find("job-error"), errors, (job) => job.job, make, () => {});
}

function showFailures() {
  find("failures-panel").hidden = details.failures === 0;
  const hidden = details.failures - details.failure_list.length;
  const items = details.failure_list.map((failure, number) => ({ ...failure, key: `${details.job} ${number}` }));
  if (hidden > 0) items.push({ key: `more ${hidden}`, hidden });
  const make = (failure) => {
    if (failure.hidden) return element("p", { textContent: `${count(failure.hidden)} more, which are only counted` });
    const [first] = failure.message.split("\n");
    const after = seconds(Math.max(failure.time - details.start, 0));
    const title = `Stage ${failure.stage}, attempt ${failure.attempt}, after ${after}: ${first}`;
    return errorBox(title, failure.message, failure.place, false);
  };
  update(find("failures"), items, (failure) => failure.key, make, () => {});
}

function timesBox(stage) {
  if (!stage.task_times) return "";
  const [shortest, lower, median, upper, longest] = stage.task_times;
  const text = `median ${seconds(median)}, longest ${seconds(longest)}`;
  const all = `shortest ${seconds(shortest)}, quartiles ${seconds(lower)}, ${seconds(median)}, ${seconds(upper)}, longest ${seconds(longest)}`;
  const at = (time) => `${longest > 0 ? (98 * time) / longest : 0}%`;
  const part = (className, from, to) => {
    const made = element("i", { className });
    made.style.left = at(from);
    if (to !== undefined) made.style.width = at(to - from);
    return made;
  };
  const make = () => {
    const box = element("span", { className: "box" }, part("range", shortest, longest), part("middle", lower, upper), part("median", median));
    box.setAttribute("aria-hidden", "true");
    return element("span", { title: all }, box, text);
  };
  return { text: all, make };
}

function shuffled(stage) {
  const records = stage.shuffled_records;
  if (records === 0) return "–";
  const dropped = stage.filtered_records ? `, ${count(stage.filtered_records)} dropped by the join filter` : "";
  const note = `${count(records)} records${dropped}`;
  const make = () => element("span", {}, bytes(stage.shuffled_bytes), element("small", { textContent: note }));
  return { text: `${stage.shuffled_bytes} ${note}`, make };
}

function showStages() {
  const stages = details.stage_list;
  const name = (stage) => `${stage.stage} ${stage.operator}`;
  const skew = (stage) => {
    if (stage.skew === null) return "";
    const text = `${stage.skew.toFixed(1)}×`;
    const isSkewed = stage.skew >= 4 && stage.tasks_done > 1;
    return { text, make: () => element("span", { className: isSkewed ? "skewed" : "", title: "Time of the slowest task, divided by the mean", textContent: text }) };
  };
  const cells = (stage) => [
    { text: name(stage), make: () => element("span", { title: stage.operators.join("\n"), textContent: name(stage) }) },
    badge(stage.state),
    bar(stage.progress, `Progress of stage ${stage.stage}`),
    stage.tasks === null ? count(stage.tasks_done) : `${count(stage.tasks_done)}/${count(stage.tasks)}`,
    seconds(stage.elapsed),
    timesBox(stage),
    skew(stage),
    orNothing(stage.input_bytes, bytes),
    shuffled(stage),
    orNothing(stage.spilled_bytes, bytes),
    orNothing(stage.failures, count) + (stage.restarts ? `, ${stage.restarts} restarts` : ""),
  ];
  rows(find("stages"), stages, (stage) => `${details.job} ${stage.stage}`, cells);
  colourDrawing();
}

function showLanes() {
  const end = details.start + details.elapsed;
  const cells = (lane) => {
    const busy = details.elapsed > 0 ? Math.min(lane.busy / details.elapsed, 1) : 0;
    const isIdle = details.state !== "running" || end - lane.last > 2;
    const state = lane.lost !== null ? "lost" : isIdle ? "idle" : "running";
    const shown = badge(state);
    if (lane.lost !== null) shown.make = () => element("span", {}, badge("lost").make(), ` ${lane.lost}`);
    return [
      lane.name,
      shown,
      bar(busy, `Busy time of ${lane.name}`),
      count(lane.tasks),
      seconds(lane.busy),
      orNothing(lane.input_bytes, bytes),
      orNothing(lane.shuffled_bytes, bytes),
    ];
  };
  rows(find("lanes"), details.lanes, (lane) => `${details.job} ${lane.name}`, cells);
}

// ---- the graph of the stages ----

async function showDrawing() {
  if (details === null || drawn === details.job) return;
  const number = details.job;
  const text = report ? report.drawings[number] : await (await get(`api/jobs/${number}/stages.svg`)).text();
  // The style of the page replaces that of the drawing, which the server does not allow.
  const unstyled = text.replace(/<style>[^]*?<\/style>/, "");
  const svg = document.importNode(new DOMParser().parseFromString(unstyled, "image/svg+xml").documentElement, true);
  for (const box of svg.querySelectorAll("g")) {
    const frame = box.querySelector("rect");
    const share = frame.cloneNode();
    share.setAttribute("class", "share");
    frame.after(share);
    box.querySelector("text")?.setAttribute("class", "first");
  }
  find("drawing").replaceChildren(svg);
  drawn = number;
  colourDrawing();
}

function colourDrawing() {
  if (drawn !== details.job) return;
  const boxes = find("drawing").querySelectorAll("g");
  details.stage_list.slice(0, boxes.length).forEach((stage, position) => {
    const box = boxes[position];
    box.setAttribute("class", stage.failures ? `${stage.state} failures` : stage.state);
    const width = Number(box.querySelector("rect").getAttribute("width"));
    box.querySelector(".share").setAttribute("width", width * (stage.progress ?? 0));
  });
}

// ---- the task stream ----

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);
const stageColour = (stage) => colour(`--s${(stage - 1) % 8}`);
const LEFT = 84; // space for names, in pixels
const TOP = 22; // space for times, in pixels

// Prepares a canvas for its size on the screen.
function begin(canvas, height) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth;
  if (height) canvas.style.height = `${height}px`;
  const wanted = height ?? canvas.clientHeight;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(wanted * scale);
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  return { context, width, height: wanted };
}

// Draws the times below the chart, relative to the start of the job.
function drawTimes(context, from, to, x, bottom) {
  const step = niceStep((to - from) / 8);
  context.textAlign = "center";
  for (let time = Math.ceil((from - details.start) / step) * step; time <= to - details.start; time += step) {
    const at = x(details.start + time);
    context.fillStyle = colour("--line");
    context.fillRect(at, TOP - 4, 1, bottom - TOP + 4);
    context.fillStyle = colour("--quiet");
    context.fillText(time === 0 ? "0" : seconds(time).replace(/\.0+ /, " "), at, TOP / 2 - 1);
  }
}

function niceStep(about) {
  const power = 10 ** Math.floor(Math.log10(Math.max(about, 1e-6)));
  return [1, 2, 5, 10].find((factor) => factor * power >= about) * power;
}

function spans() {
  return details.spans.map(([lane, stage, start, time, busy, tasks, first, input, shuffled]) => ({
    lane, stage, start: start / 1e6, end: (start + time) / 1e6, busy: busy / 1e6, tasks, first, input, shuffled,
  }));
}

function drawStream() {
  if (!find("stream-panel").open) return;
  const canvas = find("stream");
  const { lanes } = details;
  const row = lanes.length > 40 ? 10 : 24;
  const { context, width, height } = begin(canvas, TOP + Math.max(lanes.length, 1) * row + 6);
  const last = Number(find("window").value);
  const to = details.start + Math.max(details.elapsed, 1e-6);
  const from = last ? Math.max(details.start, to - last) : details.start;
  const x = (time) => LEFT + ((time - from) / (to - from)) * (width - LEFT - 10);
  drawTimes(context, from, to, x, height);
  context.textAlign = "left";
  lanes.forEach((lane, number) => {
    context.fillStyle = colour(lane.lost === null ? "--text" : "--bad");
    if (row > 12) context.fillText(lane.name, 0, TOP + number * row + row / 2, LEFT - 8);
    context.fillStyle = colour("--track");
    context.fillRect(LEFT, TOP + number * row + row - 2, width - LEFT - 10, 1);
  });
  const shown = spans().filter((span) => span.end >= from);
  const colours = new Map(details.stage_list.map((stage) => [stage.stage, stageColour(stage.stage)]));
  for (const span of shown) {
    const left = Math.max(x(span.start), LEFT);
    context.fillStyle = colours.get(span.stage) ?? colour("--quiet");
    // Merged spans are the paler the less of their time tasks ran.
    context.globalAlpha = span.end > span.start ? Math.min(Math.max(span.busy / (span.end - span.start), 0.25), 1) : 1;
    context.fillRect(left, TOP + span.lane * row + 2, Math.max(x(span.end) - left, 1), row - 6);
  }
  context.globalAlpha = 1;
  context.fillStyle = colour("--bad");
  for (const failure of details.failure_list) {
    if (failure.time >= from) context.fillRect(x(failure.time) - 1, TOP - 6, 2, height - TOP);
  }
  canvas.view = { shown, x, row };
  outlineSelection(context);
  const names = details.stage_list.filter((stage) => stage.start !== null);
  const make = (stage) => {
    const sample = element("i");
    return element("li", {}, sample, `stage ${stage.stage} ${stage.operator}`);
  };
  update(find("legend"), names, (stage) => `${details.job} ${stage.stage}`, make, (item, stage) => {
    item.firstChild.style.background = stageColour(stage.stage);
  });
}

function outlineSelection(context) {
  const { shown, x, row } = find("stream").view;
  const same = (span) => selection && span.lane === selection.lane && span.stage === selection.stage && span.start === selection.start;
  const span = shown.find(same);
  if (!span) return;
  context.strokeStyle = colour("--text");
  context.lineWidth = 2;
  const left = Math.max(x(span.start), LEFT);
  context.strokeRect(left, TOP + span.lane * row + 2, Math.max(x(span.end) - left, 2), row - 6);
}

function select(span) {
  if (!span || span === selection) return;
  selection = span;
  const stage = details.stage_list.find((stage) => stage.stage === span.stage);
  const lane = details.lanes[span.lane];
  const tasks = span.first === null ? `${count(span.tasks)} tasks`
    : span.tasks === 1 ? `partition ${span.first}` : `partitions ${span.first} to ${span.first + span.tasks - 1}`;
  const parts = [
    lane.name, `stage ${span.stage} ${stage ? stage.operator : ""}`, span.tasks ? tasks : "end of the stage",
    `${seconds(span.busy)} from ${seconds(Math.max(span.start - details.start, 0))}`,
  ];
  if (span.input) parts.push(`${bytes(span.input)} read`);
  if (span.shuffled) parts.push(`${bytes(span.shuffled)} shuffled`);
  find("span").textContent = parts.join(" · ");
  drawStream();
}

function listenToStream() {
  const canvas = find("stream");
  canvas.addEventListener("mousemove", (event) => {
    const { shown, x, row } = canvas.view ?? { shown: [] };
    const lane = Math.floor((event.offsetY - TOP) / row);
    const distance = (span) => Math.max(x(span.start) - event.offsetX, event.offsetX - x(span.end), 0);
    const near = shown.filter((span) => span.lane === lane && distance(span) < 5);
    select(near.sort((a, b) => distance(a) - distance(b))[0]);
  });
  canvas.addEventListener("keydown", (event) => {
    const { shown } = canvas.view ?? { shown: [] };
    const current = selection ?? { lane: 0, start: -1 };
    const on = (lane) => shown.filter((span) => span.lane === lane);
    const nearest = (list) => [...list].sort((a, b) => Math.abs(a.start - current.start) - Math.abs(b.start - current.start))[0];
    const choose = {
      ArrowRight: () => on(current.lane).find((span) => span.start > current.start),
      ArrowLeft: () => on(current.lane).filter((span) => span.start < current.start).pop(),
      ArrowDown: () => nearest(on(current.lane + 1)),
      ArrowUp: () => nearest(on(current.lane - 1)),
    }[event.key];
    if (!choose) return;
    event.preventDefault();
    select(choose());
  });
  find("window").addEventListener("change", drawStream);
}

// ---- memory ----

function drawMemory() {
  if (!find("memory-panel").open) return;
  const canvas = find("memory");
  const { context, width, height } = begin(canvas);
  const { samples, memory } = details;
  const used = Math.max(...samples.map((sample) => sample[1]), 0);
  const spilled = Math.max(...samples.map((sample) => sample[2]), 0);
  const highest = Math.max(used, spilled, 1024);
  const from = details.start;
  const to = from + Math.max(details.elapsed, 1e-6);
  const x = (time) => LEFT + ((time - from) / (to - from)) * (width - LEFT - 10);
  const y = (value) => height - 8 - (value / highest) * (height - 16 - TOP);
  drawTimes(context, from, to, x, height);
  context.textAlign = "right";
  context.fillStyle = colour("--quiet");
  for (const value of [0, highest / 2, highest]) context.fillText(bytes(value), LEFT - 8, y(value));
  const line = (field, name, isFilled) => {
    context.beginPath();
    context.moveTo(x(from), y(0));
    let before = 0;
    for (const sample of samples) {
      context.lineTo(x(sample[0]), y(before));
      before = sample[field];
      context.lineTo(x(sample[0]), y(before));
    }
    context.lineTo(x(to), y(before));
    context.strokeStyle = colour(name);
    context.lineWidth = 2;
    context.stroke();
    if (!isFilled) return;
    context.lineTo(x(to), y(0));
    context.globalAlpha = 0.18;
    context.fillStyle = colour(name);
    context.fill();
    context.globalAlpha = 1;
  };
  line(1, "--s0", true);
  if (spilled > 0) line(2, "--s1", false);
  const text = `Filled: memory budget in use, highest ${bytes(used)} of ${bytes(memory.limit_bytes)}. ` +
    (spilled > 0 ? `Line: ${bytes(spilled)} written to the spill directory.` : "Nothing was spilled.");
  find("memory-text").textContent = text;
  canvas.setAttribute("aria-label", text);
}

// ---- data ----

async function get(path) {
  const response = await fetch(path, { cache: "no-store" });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

async function load() {
  if (report) {
    overview = report.overview;
    details = report.jobs.find((job) => job.job === selectedJob()) ?? null;
    return;
  }
  overview = await (await get("api/jobs")).json();
  const number = selectedJob();
  const listed = overview.jobs.find((job) => job.job === number);
  if (!listed) details = null;
  else if (details?.job !== number || details.state === "running") {
    details = await (await get(`api/jobs/${number}`)).json();
  }
}

function connection(state, text) {
  find("connection").className = `badge ${state}`;
  find("connection").textContent = text;
}

async function refresh() {
  try {
    await load();
    if (details?.job !== drawn) {
      selection = null;
      find("span").textContent = "";
    }
    showOverview();
    showJob();
    await showDrawing();
    if (report) connection("done", "report");
    else connection("live", "live");
  } catch (error) {
    console.error(error);
    connection("offline", "no connection: the program may have ended");
  }
}

async function poll() {
  if (!document.hidden) await refresh();
  setTimeout(poll, PERIOD);
}

function start() {
  listenToStream();
  find("jobs").addEventListener("click", (event) => {
    const link = event.target.closest("tbody tr")?.querySelector("a");
    if (link) location.hash = link.hash;
  });
  window.addEventListener("hashchange", refresh);
  window.addEventListener("resize", () => details && showJob());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => details && showJob());
  for (const id of ["stream-panel", "memory-panel"]) find(id).addEventListener("toggle", () => details && showJob());
  if (report) refresh();
  else poll();
}

start();
