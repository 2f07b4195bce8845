"""How the page looks: one style sheet, which is written into it."""

STYLE = """
:root { --ink: #1d2430; --soft: #5c6675; --line: #dfe3e9; --paper: #ffffff; --ground: #f5f6f8;
        --error: #b3261e; --warning: #b26a00; --note: #2f6db5; --good: #1a7f4b; --bar: #4c83c3; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
       font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "Liberation Sans", Roboto, Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 25px; margin: 0 0 2px; }
h2 { font-size: 18px; margin: 36px 0 10px; }
p { margin: 4px 0; }
code, .mono { font-family: ui-monospace, "SF Mono", Menlo, "Liberation Mono", Consolas, monospace; font-size: 13px; }
.soft { color: var(--soft); }
.panel { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin-top: 16px; }
.tile { background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
        padding: 8px 16px; min-width: 104px; }
.tile b { display: block; font-size: 21px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
.tile.error b { color: var(--error); } .tile.warning b { color: var(--warning); } .tile.good b { color: var(--good); }
.finding { background: var(--paper); border: 1px solid var(--line); border-left: 5px solid var(--note);
           border-radius: 6px; padding: 10px 16px 12px; margin-bottom: 10px; overflow-wrap: anywhere; }
.finding.error { border-left-color: var(--error); } .finding.warning { border-left-color: var(--warning); }
.finding .level { font-weight: 650; color: var(--note); margin-right: 8px; }
.finding.error .level { color: var(--error); } .finding.warning .level { color: var(--warning); }
.finding .remedy::before { content: "→ "; color: var(--soft); }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500;
     border-bottom: 1px solid var(--line); padding: 4px 12px 4px 0; }
td { border-bottom: 1px solid #eef0f3; padding: 3px 12px 3px 0; vertical-align: top; overflow-wrap: anywhere; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; white-space: nowrap; width: 1%; padding-left: 10px; }
td.mono, th.mono { width: 34%; }
.examples { margin-top: 8px; }
.scroll { max-height: 560px; overflow: auto; padding-top: 0; }
.scroll th { position: sticky; top: 0; background: var(--paper); padding-top: 12px; }
.bar { display: inline-block; height: 11px; min-width: 1px; border-radius: 2px;
       background: var(--bar); vertical-align: -1px; }
.bars td { border: 0; width: 1%; padding: 1px 10px 1px 0; white-space: nowrap; }
.bars th { white-space: nowrap; padding-right: 10px; }
.columns { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; }
.columns > * { flex: 1 1 300px; }
.columns h3 { font-size: 14px; margin: 0 0 8px; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(265px, 1fr)); gap: 14px; }
figure { margin: 0; background: var(--paper); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }
figure img, .map { display: block; width: 100%; height: auto; }
figcaption { padding: 7px 10px 9px; font-size: 13px; overflow-wrap: anywhere; }
figcaption .why { font-weight: 600; }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 4px;
          border: 1px solid #0006; }
.actor { margin-right: 10px; white-space: nowrap; }
.bad { color: var(--error); } .odd { color: var(--warning); }
"""
