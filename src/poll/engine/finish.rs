//! What a slice or a job that has been read to its end means.

use std::time::Duration;

use super::{Engine, MARGIN};
use crate::api::definition::MomentAt;
use crate::model::{Fault, Now, TimeRange, Timestamp};
use crate::poll::coverage;
use crate::poll::job::{Job, Kind};
use crate::poll::ledger::{Covered, Read};
use crate::poll::progress::{AHEAD_MAX, Mark, SweepProgress};
use crate::poll::report::Report;

impl Engine {
    /// The walk over a slice came to its end, and all of it was read but for blobs that could not be had.
    pub(super) fn slice_read(&mut self, lane: usize, now: Now) {
        let by = self.lanes[lane].kind.as_str();
        let Some(job) = self.lanes[lane].job.as_mut() else { return };
        let Some(walk) = job.walk.as_ref() else { return };
        let (slice, lost) = (walk.slice, std::mem::take(&mut job.lost));
        let (endless, read) = (walk.endless, Read { at: job.reading.since(), by });
        // An endless link shows what has been stored, and not the slice; see `live_read`.
        let mut covered = match endless {
            true => Vec::new(),
            false => job.reading.slice(slice, &lost, by),
        };
        let touches = |gap: &TimeRange| slice.from < gap.to && gap.from < slice.to;
        let mends = !endless && self.progress.gaps.iter().any(touches);
        if mends {
            self.mark(Mark::Mended(slice));
        }
        if !lost.is_empty() {
            self.mark(Mark::Gap { ranges: lost, at: now.wall });
        }
        if mends {
            covered.extend(coverage::pieced(&self.progress, slice, read));
        }
        self.slice_ended(lane, covered, now);
    }

    /// A range can no longer be had. What of it was read before has been read all the same.
    pub(super) fn not_to_be_had(&mut self, range: TimeRange, now: Now) {
        let ranges = self.progress.missing(range);
        if !ranges.is_empty() {
            self.mark(Mark::Gap { ranges, at: now.wall });
        }
    }

    /// A slice is done with, and some hours with it.
    pub(super) fn slice_ended(&mut self, lane: usize, mut covered: Vec<Covered>, now: Now) {
        let kind = self.lanes[lane].kind;
        let Some(job) = self.lanes[lane].job.as_mut() else { return };
        let Some(walk) = job.walk.take() else { return };
        let all_read = job.unread.is_empty();
        let (began, unread) = (job.began.wall, job.unread.clone());
        let read = Read { at: job.reading.since(), by: kind.as_str() };
        if kind != Kind::Live {
            self.slices.learn(walk.pages);
        }
        match kind {
            Kind::Live => {}
            Kind::CatchUp => {
                self.mark(Mark::CaughtUp(walk.slice));
                covered.extend(coverage::pieced(&self.progress, walk.slice, read));
            }
            Kind::Sweep(index) => {
                let depth_seconds = self.plan.schedule.sweeps[index].depth.as_secs();
                self.mark(Mark::Sweep(SweepProgress { depth_seconds, began, unread }));
            }
        }
        self.cover(covered, now);
        if all_read {
            self.finish(lane, now);
        }
    }

    /// Notes that hours have been read completely: by what a clock says that has not been set back meanwhile, and
    /// once they have ended.
    fn cover(&mut self, mut covered: Vec<Covered>, now: Now) {
        let latest = now.wall + AHEAD_MAX;
        covered.retain(|hours| hours.read.at <= latest && hours.to.start() <= latest);
        if !covered.is_empty() {
            self.mark(Mark::Covered(covered));
        }
    }

    /// A job is complete.
    pub(super) fn finish(&mut self, lane: usize, now: Now) {
        let kind = self.lanes[lane].kind;
        let Some(job) = self.lanes[lane].job.take() else { return };
        let unasked = |oldest: &Timestamp| *oldest < job.whole.from - MARGIN;
        self.lanes[lane].troubled = false;
        self.fetches_recovered();
        self.lanes[lane].oldest_shown = job.tally.oldest.filter(unasked);
        self.stats.poll(kind.as_str(), "ok");
        for (fault, count) in std::mem::take(&mut self.faults) {
            let reason = self.reason(fault);
            self.reports.push(Report::record_rejected(count, &reason));
        }
        match kind {
            Kind::Live => self.live_read(&job, now),
            Kind::CatchUp => self.caught_up(),
            Kind::Sweep(_) if job.tally.late > 0 => {
                let report = Report::late_records(job.tally.late, job.tally.latest_by);
                self.reports.push(report);
                self.follow_lateness(now);
            }
            Kind::Sweep(_) => self.follow_lateness(now),
        }
    }

    /// Why events are not as the definition says, for people.
    fn reason(&self, fault: Fault) -> String {
        let definition = &self.plan.definition;
        let MomentAt { at, format } = &definition.time;
        match fault {
            Fault::NoId => {
                let at = definition.id.pointers().iter().map(|pointer| format!("'{pointer}'"));
                let at: Vec<String> = at.collect();
                format!("without an id at {}; told from others by their bytes", at.join(", "))
            }
            Fault::NoTime => format!(
                "without a time at '{at}' that reads as {format}; delivered with the time they were received"
            ),
            Fault::OffRange => format!(
                "whose time at '{at}' lies more than a day off the range that was asked for; delivered all the same. Is the definition's 'time' right?"
            ),
            Fault::NotTranscoded => "nested too deeply for a record; delivered as text".to_owned(),
        }
    }

    fn live_read(&mut self, job: &Job, now: Now) {
        let before = self.progress.live_until;
        self.mark(Mark::Live {
            until: job.whole.to,
            holes: job.hole.into_iter().collect(),
            newest: self.newest,
        });
        let read = Read { at: job.began.wall, by: Kind::Live.as_str() };
        self.cover(coverage::passed(&self.progress, before, read), now);
        let duration = now.mono.saturating_sub(job.began.mono);
        self.stats.poll_duration = duration;
        self.stats.last_success = Some(now.wall);
        self.last_live = Some(now.mono);
        if duration > self.plan.schedule.interval {
            self.reports.push(Report::poll_overrun(duration));
        }
        self.judge_drift(now);
        if let Some(auto) = &mut self.auto {
            auto.polled(job.whole.span(), duration);
        }
        self.follow_lateness(now);
        self.judge_window(job, now);
    }

    /// Where the window follows the lateness, it does so now; one that is widened stays so.
    fn follow_lateness(&mut self, now: Now) {
        let Some((window, why)) = self.auto.as_mut().and_then(|auto| auto.judge(now.mono)) else {
            return;
        };
        let is_widened = self.widened > self.window;
        self.reports.push(Report::window_follows(window > self.window, window, why));
        self.widened = if is_widened { self.widened.max(window) } else { window };
        self.window = window;
        self.mark(Mark::Window(window));
    }

    fn judge_drift(&mut self, now: Now) {
        let Some(newest) = self.newest else { return };
        let drift = now.wall.since(newest);
        self.stats.drift = drift;
        if drift > self.plan.schedule.drift_alert {
            if self.conditions.drift.hold(now.mono) {
                self.reports.push(Report::drift(true, drift));
            }
        } else if self.conditions.drift.end() {
            self.reports.push(Report::drift(false, drift));
        }
    }

    /// An empty result widens the window; records that a narrower one would have shown narrow it again.
    fn judge_window(&mut self, job: &Job, now: Now) {
        let window = self.window;
        let events = job.tally.events;
        let age = |newest: Option<Timestamp>| newest.map_or(Duration::MAX, |at| now.wall.since(at));
        if self.plan.definition.follow {
            // An endless link shows nothing twice: that it shows nothing at all means little.
            if events == 0 && age(self.newest) > window {
                if self.conditions.empty.hold(now.mono) {
                    self.reports.push(Report::empty_result(window));
                }
            } else {
                self.conditions.empty.end();
            }
            return;
        }
        if events == 0 {
            if self.conditions.empty.hold(now.mono) {
                self.reports.push(Report::empty_result(self.widened));
            }
        } else {
            self.conditions.empty.end();
        }
        let Some(widen) = self.plan.schedule.widen else { return };
        let wanted = if events == 0 {
            (self.widened + widen.step).min(widen.max)
        } else {
            let age = job.tally.newest.map_or(Duration::ZERO, |newest| now.wall.since(newest));
            let steps = age.saturating_sub(window).as_secs_f64() / widen.step.as_secs_f64();
            let needed = window + widen.step.mul_f64(steps.ceil());
            needed.min(self.widened)
        };
        if wanted != self.widened {
            self.reports.push(Report::window(wanted > self.widened, wanted));
            self.widened = wanted;
        }
    }

    fn caught_up(&mut self) {
        if self.progress.holes.is_empty()
            && let Some(range) = self.catching_up.take()
        {
            self.reports.push(Report::catchup(true, range));
        }
    }
}
