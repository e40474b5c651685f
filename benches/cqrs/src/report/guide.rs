//! The decision guide: questions of a team that chooses, answered from the figures of this run.
//!
//! The rules are in this file, the numbers are the run's: another machine or catalogue may give another answer. What
//! can't be measured (history, reactions, search) is stated as a rule.

use super::{Report, is_cenote};
use crate::faults::Verdict;
use cenote_bench_support::numbers::human;

/// One question, and what follows from the figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advice {
    /// What a team must decide.
    pub question: String,
    /// Which strategy, and why; a line each.
    pub answers: Vec<String>,
}

/// The questions that the figures answer.
#[must_use]
pub fn advise(report: &Report) -> Vec<Advice> {
    let rules = [staleness, writes, reads, memory, running, wrong, not_cenote];
    rules.iter().filter_map(|rule| rule(report)).collect()
}

fn advice(question: &str, answers: Vec<String>) -> Option<Advice> {
    (!answers.is_empty()).then(|| Advice { question: question.to_owned(), answers })
}

/// The rate at which strategies are compared: the middle one.
fn rate(report: &Report) -> Option<u32> {
    let rates = report.rates();
    rates.get(rates.len() / 2).copied()
}

fn time(seconds: f64) -> String {
    human(seconds, "s")
}

fn staleness(report: &Report) -> Option<Advice> {
    let rate = rate(report)?;
    let mut left: Vec<(&str, f64)> = report
        .systems()
        .into_iter()
        .filter_map(|system| Some((system, report.at(system, "freshness_p99", rate)?)))
        .collect();
    left.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut answers = Vec::new();
    let mut low = 0.0;
    for (bound, name) in [(0.01, "10 ms"), (0.1, "100 ms"), (1.0, "1 s"), (5.0, "5 s"), (f64::MAX, "longer")] {
        let fit: Vec<_> = left.iter().filter(|(_, fresh)| *fresh > low && *fresh <= bound).collect();
        low = bound;
        if !fit.is_empty() {
            let names: Vec<_> = fit.iter().map(|(system, fresh)| format!("{system} ({})", time(*fresh))).collect();
            answers.push(format!("{name}: {}", names.join(", ")));
        }
    }
    let question = format!("How stale may a read be? (99 of 100 changes visible within, at {rate} commands a second)");
    advice(&question, answers)
}

fn writes(report: &Report) -> Option<Advice> {
    let rates = report.rates();
    let (first, last) = (*rates.first()?, *rates.last()?);
    let answer = |system: &str| {
        let (low, high) = (report.at(system, "freshness_p50", first)?, report.at(system, "freshness_p50", last)?);
        let burst =
            report.burst(system, "burst_visible").map(|burst| format!("; a burst is visible after {}", time(burst)));
        Some(format!("{system}: {} → {}{}", time(low), time(high), burst.unwrap_or_default()))
    };
    let question = format!(
        "How many writes are there? (half of all changes visible within, at {first} → {last} commands a second)"
    );
    advice(&question, report.systems().into_iter().filter_map(answer).collect())
}

fn reads(report: &Report) -> Option<Advice> {
    let best = |ours: bool, query: &str| {
        let all = report.systems().into_iter().filter(|system| is_cenote(system) == ours);
        let timed = all.filter_map(|system| Some((system, report.query(system, "read_p50", query, false)?)));
        timed.min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let answer = |query: &&str| {
        let ((other, theirs), (own, ours)) = (best(false, query)?, best(true, query)?);
        let (faster, ratio) = if ours < theirs { (own, theirs / ours) } else { (other, ours / theirs) };
        let (own_time, other_time) = (human(ours, "ns"), human(theirs, "ns"));
        Some(format!("{query}: {own} {own_time}, {other} {other_time}: {faster} is {ratio:.1} times as fast"))
    };
    advice(
        "How many reads are there, and how fast must they be? (the fastest of each side, p50)",
        ["product", "category", "page"].iter().filter_map(answer).collect(),
    )
}

fn memory(report: &Report) -> Option<Advice> {
    let systems = report.systems();
    let own = systems.iter().filter(|system| is_cenote(system));
    let memory = own.filter_map(|system| report.figure(system, "memory_reader")).fold(f64::MAX, f64::min);
    if memory == f64::MAX || report.products == 0 {
        return None;
    }
    let each = memory / report.products as f64;
    let fit = |gigabytes: f64| gigabytes * 1e9 / each / 1e6;
    advice(
        "Does the data fit in the memory of each reader?",
        vec![format!(
            "A reader that holds everything took {} for {} products, {each:.0} B each (pages and the process itself \
             included): about {:.1} million in 1 GB and {:.1} million in 16 GB. Beyond that, or if each reader needs a \
             small share: a read store.",
            human(memory, "bytes"),
            report.products,
            fit(1.0),
            fit(16.0)
        )],
    )
}

fn running(report: &Report) -> Option<Advice> {
    let answer = |system: &str| {
        let processes = report.figure(system, "processes")?;
        let plural = if processes == 1.0 { "" } else { "es" };
        Some(format!("{system}: {processes:.0} process{plural}"))
    };
    advice("What must run besides the services?", report.systems().into_iter().filter_map(answer).collect())
}

fn wrong(report: &Report) -> Option<Advice> {
    if report.outcomes.is_empty() {
        return None;
    }
    let ever: Vec<_> = report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::StaysWrong).collect();
    let answer = |system: &str| {
        let own = ever.iter().filter(|outcome| outcome.system == system).map(|outcome| {
            let seen = if outcome.noticed.is_empty() { " (no alarm rang)" } else { "" };
            format!("{}{seen}", outcome.fault.name())
        });
        let own: Vec<_> = own.collect();
        (!own.is_empty()).then(|| format!("{system}: {}", own.join(", ")))
    };
    let mut answers: Vec<_> = report.systems().into_iter().filter_map(answer).collect();
    if answers.is_empty() {
        answers.push("nothing that was tried".to_owned());
    }
    advice("What leaves the read side wrong until a person steps in?", answers)
}

fn not_cenote(report: &Report) -> Option<Advice> {
    let rate = rate(report)?;
    let fresh = |system| report.at(system, "freshness_p99", rate).map(time);
    let shown = |what: &str, system| fresh(system).map(|fresh| format!(" ({what}: {fresh})")).unwrap_or_default();
    let answers = vec![
        format!("when a read must see the write before it{}", shown("sync", "sync")),
        format!(
            "when changes must be seen sooner than it can show them{}{}",
            shown("on local files", "cenote-update"),
            shown("by way of S3", "cenote-update-s3")
        ),
        "when the data does not fit in the memory of each reader".to_owned(),
        "when a program has to react to each change, or needs earlier states: outbox with a broker, event-sourced"
            .to_owned(),
        "when several writers change the same records, and none is the source of truth".to_owned(),
        "when queries are more than keys and declared indexes: a database, a search engine".to_owned(),
    ];
    advice("When not Cenote?", answers)
}
