//! Where the story is told: a dashboard redrawn in place on a terminal, plain lines anywhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::view::{self, Paint, View};

/// Without a terminal, so often a line says how things stand.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// On one, so often it is drawn.
const FRAME_EVERY: Duration = Duration::from_millis(250);

/// Standard output.
pub(crate) struct Screen {
    pub(crate) paint: Paint,
    /// Draws in place; on a terminal only.
    bar: Option<ProgressBar>,
    /// When the next frame, or status line, is due.
    due: Duration,
}

impl Screen {
    pub(crate) fn of_stdout() -> Self {
        let says_no = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let live = io::stdout().is_terminal() && !dumb;
        let bar = live.then(|| {
            let style = ProgressStyle::with_template("{msg}").expect("a template");
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()).with_style(style)
        });
        Self { paint: Paint(live && !says_no("NO_COLOR")), bar, due: Duration::ZERO }
    }

    /// What is said before it begins.
    pub(crate) fn open(&mut self, rate: u32) -> io::Result<()> {
        self.tell(&view::opening(rate, self.paint))?;
        if self.bar.is_none() {
            self.due = STATUS_EVERY;
            let every = STATUS_EVERY.as_secs();
            print(&format!(
                "Every {every} s: delivered/lost/doubled, and lookback's newest record."
            ))?;
        }
        Ok(())
    }

    /// A part of the story, above the dashboard.
    pub(crate) fn tell(&self, text: &str) -> io::Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.println(text);
                Ok(())
            }
            None => print(text),
        }
    }

    /// Whether it is time to say how things stand.
    pub(crate) fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.due
    }

    /// How things stand.
    pub(crate) fn show(&mut self, elapsed: Duration, view: &View) -> io::Result<()> {
        match &self.bar {
            Some(bar) => {
                self.due = elapsed + FRAME_EVERY;
                bar.set_message(view.frame(elapsed, self.paint));
                Ok(())
            }
            None => {
                self.due = elapsed + STATUS_EVERY;
                print(&view.lines(elapsed))
            }
        }
    }

    /// The dashboard makes way for what is told last.
    pub(crate) fn end(&self, text: &str) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        print(text)
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
