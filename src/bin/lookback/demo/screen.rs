//! Where the story is told: a dashboard redrawn in place on a terminal, plain lines anywhere else.

use std::io::{self, Write as _};
use std::time::Duration;

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::view::{self, Paint, View};
use crate::terminal;

/// Without a dashboard, so often a line says how things stand.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Standard output.
pub(crate) struct Screen {
    pub(crate) paint: Paint,
    /// Draws in place; on a terminal only that has room for it.
    bar: Option<ProgressBar>,
    /// When the next status line is due.
    due: Duration,
}

impl Screen {
    pub(crate) fn of_stdout() -> Self {
        let bar = has_room(&Term::stdout()).then(|| {
            let style = ProgressStyle::with_template("{msg}").expect("a template");
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout()).with_style(style)
        });
        Self { paint: Paint(terminal::wants_colour()), bar, due: STATUS_EVERY }
    }

    /// What is said before it begins.
    pub(crate) fn open(&self, rate: u32) -> io::Result<()> {
        self.tell(&view::opening(rate, self.paint))?;
        if self.bar.is_none() {
            let every = STATUS_EVERY.as_secs();
            print(&format!(
                "Every {every} s: delivered/lost/doubled, and lookback's newest record."
            ))?;
        }
        Ok(())
    }

    /// How long a line may be; without a dashboard, as long as it likes.
    pub(crate) fn width(&self) -> Option<usize> {
        self.bar.as_ref().map(|_| usize::from(Term::stdout().size().1))
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

    /// How things stand.
    pub(crate) fn show(&mut self, elapsed: Duration, view: &View) -> io::Result<()> {
        match &self.bar {
            Some(bar) => bar.set_message(view.frame(elapsed, self.paint)),
            None if elapsed < self.due => {}
            None => {
                self.due = elapsed + STATUS_EVERY;
                print(&view.lines(elapsed))?;
            }
        }
        Ok(())
    }

    /// The dashboard makes way for what is told last.
    pub(crate) fn end(&self, text: &str) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        print(text)
    }
}

/// Whether it is a terminal that can be drawn on, and no line of the dashboard would wrap or scroll away.
fn has_room(term: &Term) -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let fits =
        |(rows, columns)| usize::from(rows) > view::HEIGHT && usize::from(columns) >= view::WIDTH;
    term.is_term() && !is_dumb && term.size_checked().is_some_and(fits)
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
