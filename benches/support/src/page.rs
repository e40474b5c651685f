//! The HTML page of a report: it reads well alone, and fetches nothing from elsewhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::chart::Chart;

const STYLE: &str = "
body { font: 16px/1.5 system-ui, sans-serif; max-width: 90rem; margin: 2rem auto; padding: 0 1rem; color: #1d2733; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(30rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; } figcaption { font-weight: 600; margin-bottom: .25rem; } svg { width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .2rem .6rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #e3e8ee; vertical-align: top; }
th:first-child, td:first-child { text-align: left; } td small { color: #7b8794; }
";

/// A page with this title as its heading; `style` adds rules to the common ones.
#[must_use]
pub fn page(title: &str, style: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(style)) }
            }
            body {
                h1 { (title) }
                (content)
            }
        }
    };
    page.into_string()
}

/// A section of charts; empty if no chart has anything to draw.
#[must_use]
pub fn charts(heading: &str, charts: &[Chart]) -> Markup {
    let figures: Vec<_> = charts.iter().filter_map(Chart::draw).collect();
    html! {
        @if !figures.is_empty() {
            h2 { (heading) }
            div.charts { @for figure in &figures { (PreEscaped(figure)) } }
        }
    }
}
