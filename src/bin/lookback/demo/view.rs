//! How things stand, as lines for people, 80 columns wide. No input, no output.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use super::books::Standing;
use super::story;
use crate::simulate::Stats;
use crate::text::count as thousands;

pub(crate) const WIDTH: usize = 80;
/// The dashboard's lines.
pub(crate) const HEIGHT: usize = 13 + RECORDS;
/// Where the figures begin.
const NAME: usize = 20;
/// So many of the newest records are shown.
pub(crate) const RECORDS: usize = 3;

/// The collectors, in the order in which they are shown.
pub(crate) const NAMES: [&str; 3] = ["adjacent slices", "a script's window", "lookback"];

/// Paints, or does not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

impl Paint {
    pub(crate) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        match self.0 && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

/// Whether lookback has kept its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Nothing lost, nothing doubled.
    Kept,
    Broken,
    /// It ended before one could tell.
    Open,
}

impl Word {
    /// By how lookback stands, whether everything had come through by then, and what its host complains of.
    pub(crate) fn of(standing: &Standing, settled: bool, breaches: &[String]) -> Self {
        match (standing.is_clean() && breaches.is_empty(), settled) {
            (true, true) => Self::Kept,
            (true, false) => Self::Open,
            (false, _) => Self::Broken,
        }
    }
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) happened: u64,
    pub(crate) visible: u64,
    /// As many events as there will be, about: the length of a bar.
    pub(crate) expected: u64,
    pub(crate) standings: [Standing; 3],
    /// The newest records of lookback.
    pub(crate) newest: Vec<String>,
}

impl View {
    /// The dashboard.
    pub(crate) fn frame(&self, elapsed: Duration, paint: Paint) -> String {
        let mut text = String::from("\n");
        let head = format!(
            "{}   {} events happened, the API shows {}",
            clock(elapsed),
            thousands(self.happened),
            thousands(self.visible)
        );
        let _ = writeln!(text, "{}\n\n{}", paint.bold(&head), paint.dim(&heading()));
        for (name, standing) in NAMES.iter().zip(&self.standings) {
            let _ = writeln!(text, "{}", row(name, standing, paint));
            let _ = writeln!(text, "{}", self.bar(standing, paint));
        }
        for (sign, meaning) in [
            (paint.green("█"), " delivered   "),
            (paint.dim("▒"), " on its way   "),
            (paint.red("░"), " lost: shown, and never asked for again\n\n"),
        ] {
            let _ = write!(text, "{sign}{}", paint.dim(meaning));
        }
        let _ = write!(text, "{}", paint.dim("newest records, by lookback"));
        for record in &self.newest {
            let _ = write!(text, "\n{record}");
        }
        text
    }

    /// The same without a terminal to draw on: delivered, lost and doubled, and the newest record.
    pub(crate) fn lines(&self, elapsed: Duration) -> String {
        let stand = |standing: &Standing| {
            let Standing { delivered, lost, doubled, .. } = standing;
            format!("{delivered}/{lost}/{doubled}")
        };
        let [adjacent, script, lookback] = self.standings.each_ref().map(stand);
        let mut text = format!(
            "{}  shown {}: adjacent {adjacent}, script {script}, lookback {lookback}",
            clock(elapsed),
            self.visible
        );
        if let Some(record) = self.newest.last() {
            let _ = write!(text, "\n  {record}");
        }
        text
    }

    fn bar(&self, standing: &Standing, paint: Paint) -> String {
        let Standing { delivered, lost, waiting, .. } = *standing;
        let all = self.expected.max(delivered + lost + waiting).max(1);
        // Where parts end, not how long they are: so that rounding does not add up.
        let column = |count: u64| (count * WIDTH as u64 / all) as usize;
        let ends =
            [column(delivered), column(delivered + waiting), column(delivered + waiting + lost)];
        let part = |from: usize, to: usize, sign: &str| sign.repeat(to - from);
        [
            paint.green(&part(0, ends[0], "█")),
            paint.dim(&part(ends[0], ends[1], "▒")),
            paint.red(&part(ends[1], ends[2], "░")),
        ]
        .concat()
    }
}

fn heading() -> String {
    let [delivered, lost, doubled, reads, requests] =
        ["delivered", "lost", "doubled", "reads/record", "requests"];
    format!("{:NAME$}{delivered:>12}{lost:>9}{doubled:>10}{reads:>15}{requests:>12}", "")
}

fn row(name: &str, standing: &Standing, paint: Paint) -> String {
    let bad = |count: u64, width: usize| {
        let text = format!("{:>width$}", thousands(count));
        if count == 0 { paint.green(&text) } else { paint.red(&text) }
    };
    format!(
        "{}{:>12}{}{}{:>15}{:>12}",
        paint.bold(&format!("{name:NAME$}")),
        thousands(standing.delivered),
        bad(standing.lost, 9),
        bad(standing.doubled, 10),
        format!("{:.1}", standing.reads),
        thousands(standing.requests),
    )
}

/// What is said before it begins.
pub(crate) fn opening(rate: u32, paint: Paint) -> String {
    let seconds = |duration: Duration| duration.as_secs();
    let way =
        |name: &str, text: String| format!("  {}{text}", paint.bold(&format!("{name:NAME$}")));
    let [adjacent, script, lookback] = NAMES;
    [
        paint.bold("lookback demo"),
        format!("A simulated sign-in log, {rate} events/s. Each second three collectors ask it:"),
        way(adjacent, "what has happened since the last time, once".to_owned()),
        way(
            script,
            format!("the last {} s, a tenth of its 6 h to scale;", seconds(story::SCRIPT_WINDOW)),
        ),
        way("", "knows one run's ids (after Mihalow, SANS 2018)".to_owned()),
        way(
            lookback,
            format!(
                "the last {} s, the last {} s every {} s;",
                seconds(story::WINDOW),
                seconds(story::SWEEP_DEPTH),
                seconds(story::SWEEP_EVERY)
            ),
        ),
        way("", "knows the ids of all it can read again".to_owned()),
        "One second stands for minutes: a minute holds the troubles of weeks.\n".to_owned(),
    ]
    .join("\n")
}

/// The bottom line: a table, why it came so, and whether lookback has kept its word.
pub(crate) fn verdict(
    view: &View,
    stats: &Stats,
    word: Word,
    breaches: &[String],
    paint: Paint,
) -> String {
    let (happened, visible) = (thousands(view.happened), thousands(view.visible));
    let head = format!("{happened} events happened, the API showed {visible}");
    let mut lines = vec![String::new(), paint.bold(&head), String::new(), paint.dim(&heading())];
    for (name, standing) in NAMES.iter().zip(&view.standings) {
        lines.extend([row(name, standing, paint), view.bar(standing, paint)]);
    }
    lines.extend(remarks(stats).iter().map(|remark| paint.dim(remark)));
    lines.push(String::new());
    lines.extend(reasons(paint));
    lines.push(String::new());
    for (name, Standing { unknown, .. }) in NAMES.iter().zip(&view.standings) {
        if *unknown > 0 {
            let unknown = thousands(*unknown);
            lines.push(paint.red(&format!("{name}: {unknown} records that never happened")));
        }
    }
    lines.extend(breaches.iter().map(|breach| paint.red(breach)));
    lines.push(match word {
        Word::Kept => paint.green("lookback: nothing lost, nothing doubled."),
        Word::Open => paint.yellow("Ended before everything had shown and come through."),
        Word::Broken => paint.red("lookback failed: please report this, with how you started it."),
    });
    lines.join("\n")
}

fn remarks(stats: &Stats) -> [String; 2] {
    let told = ["429", "503"].iter().filter_map(|status| stats.requests_by_status.get(*status));
    let halves = stats.faults.get("truncate").copied().unwrap_or(0);
    [
        format!(
            "The API had {} requests ({} logins): {} met 429 or 503, {} broke off.",
            thousands(stats.requests),
            thousands(stats.tokens_issued),
            thousands(told.sum()),
            thousands(halves)
        ),
        "To scale: adjacent slices lose 38 %, 1 read; script 1.5 %, 117; lookback 0, 17".to_owned(),
    ]
}

/// Why it came so.
fn reasons(paint: Paint) -> Vec<String> {
    let [adjacent, script, lookback] = NAMES;
    let reasons = [
        (adjacent, "What shows after its slice was read is never asked for."),
        (script, "What shows later than its window is lost;"),
        ("", "after an empty answer it forgets what it sent."),
        (lookback, "It finds the late by sweeps, catches up, and knows the ids"),
        ("", "of all it can read again. What shows later than its"),
        ("", "deepest sweep it would lose too; here nothing does."),
    ];
    let line = |(name, reason)| format!("{}{reason}", paint.bold(&format!("{name:NAME$}")));
    reasons.map(line).to_vec()
}

/// A delivered sign-in.
pub(crate) fn sign_in(record: &Value, took: Duration, paint: Paint) -> String {
    let field = |name: &str| record[name].as_str().unwrap_or_default();
    let time = field("createdDateTime").get(11..19).unwrap_or_default();
    let code = record["status"]["errorCode"].as_u64().unwrap_or(0);
    let line = format!(
        "{time}  {}  {}  {:<14}  {:>6}",
        fit(field("userDisplayName"), 18),
        fit(field("appDisplayName"), 22),
        result(code),
        format!("{:.1} s", took.as_secs_f64())
    );
    // A poll and the host take an interval each.
    let is_late = took > story::WINDOW + 2 * story::INTERVAL;
    if is_late { paint.yellow(&line) } else { line }
}

/// One of lookback's health records; cut at `width`, if there is one.
pub(crate) fn health(record: &Value, width: Option<usize>, paint: Paint) -> String {
    let health = &record["lookback"];
    let field = |name: &str| health[name].as_str().unwrap_or_default();
    let mut message = field("message").to_owned();
    // Of a range, nobody reads the date and the nanoseconds.
    for moment in ["from", "to"].map(field).iter().filter(|moment| !moment.is_empty()) {
        message = message.replace(moment, moment.get(11..19).unwrap_or(moment));
    }
    let line = format!("{:7}health: {message}", "");
    let line = width.map_or(line.clone(), |width| fit(&line, width));
    let line = line.trim_end();
    match field("severity") {
        "error" => paint.red(line),
        "warning" => paint.yellow(line),
        _ => paint.dim(line),
    }
}

fn result(code: u64) -> String {
    match code {
        0 => "ok".to_owned(),
        50126 => "wrong password".to_owned(),
        50074 => "wants MFA".to_owned(),
        53003 => "blocked".to_owned(),
        50053 => "account locked".to_owned(),
        other => format!("error {other}"),
    }
}

/// Minutes and seconds.
pub(crate) fn clock(elapsed: Duration) -> String {
    format!("{:02}:{:02}", elapsed.as_secs() / 60, elapsed.as_secs() % 60)
}

/// Exactly `width` characters.
fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let kept: String = text.chars().take(width - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLAIN: Paint = Paint(false);

    #[test]
    fn text_is_fitted() {
        assert_eq!(fit("Zoë", 5), "Zoë  ");
        assert_eq!(fit("Pawłowski", 5), "Pawł…");
    }

    fn view(figure: u64) -> View {
        let standing = Standing {
            delivered: figure,
            waiting: figure / 3,
            lost: figure / 7,
            doubled: figure,
            unknown: 0,
            reads: 123.4,
            requests: figure,
        };
        let record = json!({
            "createdDateTime": "2026-01-31T08:00:00Z",
            "userDisplayName": "x".repeat(50),
            "appDisplayName": "y".repeat(50),
            "status": {"errorCode": 50126},
        });
        let newest = vec![sign_in(&record, Duration::from_secs(1234), PLAIN)];
        View {
            happened: figure,
            visible: figure,
            expected: figure,
            standings: [standing; 3],
            newest,
        }
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let record = json!({"lookback": {"message": "e".repeat(90), "severity": "info"}});
        for figure in [0, 1, 999] {
            let view = view(figure);
            let stats = Stats { requests: 10 * figure, tokens_issued: 3, ..Stats::default() };
            let told = [
                view.frame(Duration::from_secs(59), PLAIN),
                view.lines(Duration::ZERO),
                opening(1000, PLAIN),
                verdict(&view, &stats, Word::Broken, &[], PLAIN),
                super::health(&record, Some(WIDTH), PLAIN),
            ]
            .join("\n");
            for line in told.lines() {
                assert!(line.chars().count() <= WIDTH, "{line}");
            }
        }
    }

    #[test]
    fn a_range_in_a_health_record_is_shown_as_times_of_day() {
        let record = json!({"lookback": {
            "message": "caught up on 2026-01-31T08:00:00.5Z to 2026-01-31T08:00:12.25Z",
            "from": "2026-01-31T08:00:00.5Z",
            "to": "2026-01-31T08:00:12.25Z",
        }});
        assert_eq!(
            health(&record, None, PLAIN).trim(),
            "health: caught up on 08:00:00 to 08:00:12"
        );
    }

    #[test]
    fn a_health_record_is_cut_at_the_width_of_a_terminal_and_nowhere_else() {
        let record = json!({"lookback": {"message": "e".repeat(200)}});
        assert_eq!(health(&record, Some(120), PLAIN).chars().count(), 120);
        assert!(health(&record, None, PLAIN).ends_with(&"e".repeat(200)));
    }

    #[test]
    fn the_dashboard_is_as_high_as_it_says() {
        let mut view = view(1);
        view.newest = vec![view.newest[0].clone(); RECORDS];
        assert_eq!(view.frame(Duration::ZERO, PLAIN).lines().count(), HEIGHT);
    }

    #[test]
    fn what_never_happened_is_counted_in_the_verdict() {
        let mut view = view(1);
        view.standings[2] = Standing { unknown: 2, ..Standing::default() };
        let word = Word::of(&view.standings[2], true, &[]);
        assert_eq!(word, Word::Broken);
        let text = verdict(&view, &Stats::default(), word, &[], PLAIN);
        assert!(text.contains("lookback: 2 records that never happened"), "{text}");
    }

    #[test]
    fn lookback_keeps_its_word_only_if_all_came_through_once() {
        let clean = Standing::default();
        for (standing, settled, breaches, word) in [
            (clean, true, vec![], Word::Kept),
            (clean, false, vec![], Word::Open),
            (clean, true, vec!["called too late".to_owned()], Word::Broken),
            (Standing { lost: 1, ..clean }, true, vec![], Word::Broken),
            (Standing { doubled: 1, ..clean }, false, vec![], Word::Broken),
        ] {
            assert_eq!(Word::of(&standing, settled, &breaches), word, "{standing:?}");
        }
    }

    #[test]
    fn paint_comes_only_where_it_is_wanted() {
        assert!(!view(680).frame(Duration::ZERO, PLAIN).contains('\x1b'));
        assert!(view(680).frame(Duration::ZERO, Paint(true)).contains('\x1b'));
    }
}
