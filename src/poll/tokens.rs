//! One access token: kept until shortly before it expires, asked for again when a server refuses it.

use std::time::Duration;

use super::backoff::Backoff;
use super::condition::Condition;
use crate::config::Secret;

/// A token is renewed this long before it expires, or a tenth of its life if that is less.
const MARGIN_MAX: Duration = Duration::from_secs(300);

/// The longest life that is believed.
const LIFE_MAX: Duration = Duration::from_secs(86_400);

/// After so many refusals within so long it is not the token: one request lacks a permission.
const RENEWALS_MAX: usize = 3;
const RENEWALS_WITHIN: Duration = Duration::from_secs(300);

/// What the login service gave.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The token.
    pub token: Secret,
    /// How long it is good for.
    pub expires_in: Duration,
}

/// The token of one source.
#[derive(Debug, Default)]
pub struct Tokens {
    /// How many tokens there have been: tells the current one from others.
    pub serial: u64,
    current: Option<(Secret, Duration)>,
    /// Whether the current token has been accepted by the API.
    proven: bool,
    backoff: Backoff,
    /// When tokens were refused, lately.
    renewed: Vec<Duration>,
    /// Not before this may the login service be asked.
    pub not_before: Duration,
    /// Whether there is no token to be had.
    pub failing: Condition,
}

impl Tokens {
    /// The token, if there is one that is good for a while.
    pub fn current(&self, now: Duration) -> Option<&Secret> {
        self.current.as_ref().filter(|(_, until)| now < *until).map(|(token, _)| token)
    }

    /// Takes a new token.
    pub fn granted(&mut self, grant: Grant, now: Duration) {
        let life = grant.expires_in.min(LIFE_MAX);
        let until = now + life.saturating_sub(MARGIN_MAX.min(life / 10));
        self.current = Some((grant.token, until));
        self.proven = false;
        self.serial += 1;
    }

    /// The login service failed, or an unproven token was refused: says how long to wait.
    pub fn failed(
        &mut self,
        asked_to_wait: Option<Duration>,
        now: Duration,
        jitter: f64,
    ) -> Duration {
        let wait = self.backoff.fail(jitter).max(asked_to_wait.unwrap_or_default());
        self.current = None;
        self.not_before = now + wait;
        wait
    }

    /// The API accepted the token; true if that ends a time without one.
    pub fn accepted(&mut self) -> bool {
        self.proven = true;
        self.backoff.succeed();
        self.failing.end()
    }

    /// Whether a fresh token may help against a refusal: not if several did not, a moment ago.
    pub fn may_renew(&mut self, now: Duration) -> bool {
        self.renewed.retain(|at| now < *at + RENEWALS_WITHIN);
        self.renewed.len() < RENEWALS_MAX
    }

    /// The API refused the token. True if it had accepted it before, so that a fresh one may help at once.
    pub fn refused(&mut self, now: Duration) -> bool {
        self.current = None;
        // What others say of the one that is gone is of no interest.
        self.serial += 1;
        self.renewed.push(now);
        std::mem::take(&mut self.proven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(seconds: u64) -> Grant {
        Grant { token: Secret::new("t".to_owned()), expires_in: Duration::from_secs(seconds) }
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_it_expires() {
        for (life, good_for) in [(3_600, 3_300), (60, 54), (u64::MAX, 86_100)] {
            let mut tokens = Tokens::default();
            tokens.granted(grant(life), Duration::ZERO);
            assert!(tokens.current(Duration::from_secs(good_for - 1)).is_some(), "{life}");
            assert!(tokens.current(Duration::from_secs(good_for)).is_none(), "{life}");
        }
    }

    #[test]
    fn only_a_token_that_was_once_accepted_is_replaced_at_once() {
        let mut tokens = Tokens::default();
        tokens.granted(grant(3_600), Duration::ZERO);
        tokens.accepted();
        assert!(tokens.refused(Duration::ZERO));
        tokens.granted(grant(3_600), Duration::ZERO);
        assert!(!tokens.refused(Duration::ZERO));
        assert!(tokens.current(Duration::ZERO).is_none());
    }
}
