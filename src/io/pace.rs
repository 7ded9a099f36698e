//! Keeps requests to GitHub inside its documented limits, and counts them.
//!
//! A token bucket of 900 points refills with 15 a second (github-api.md §2.2): a burst of 180 writes goes
//! at full concurrency, then three a second. A rate-limit answer closes one gate for all requests; after a
//! secondary limit the refill rate halves and recovers by a tenth with every minute without another.
//! **All waiting is charged to one budget**; when it is spent, the request fails instead of waiting. All of it
//! ends at once when the user interrupts the run.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::stop::Stop;
use crate::rules::cost::{POINTS_PER_MINUTE, Usage};

/// How a client paces itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaceSettings {
    /// False for servers without limits (`--pace off`).
    pub limited: bool,
    /// Requests under way at once; GitHub allows 100.
    pub concurrency: usize,
    /// All waiting of a run together may not be longer (`--max-wait`).
    pub max_wait: Duration,
}

impl Default for PaceSettings {
    fn default() -> Self {
        Self { limited: true, concurrency: 16, max_wait: Duration::from_secs(900) }
    }
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    writes: AtomicU64,
    points: AtomicU64,
    retries: AtomicU64,
    waited_ms: AtomicU64,
}

struct Gate {
    /// Nobody sends before this.
    until: Instant,
    /// GitHub's words, when the budget does not cover the wait.
    refused: Option<String>,
}

struct Bucket {
    points: f64,
    refilled: Instant,
    /// Points a second; halves after a secondary limit.
    rate: f64,
    slowed: Option<Instant>,
    gate: Option<Gate>,
    /// What is left of all waiting.
    budget: Duration,
    /// Until when waiting for points is paid for.
    waiting_until: Instant,
}

pub struct Pace {
    settings: PaceSettings,
    bucket: Mutex<Bucket>,
    slots: Semaphore,
    counters: Counters,
    stop: Stop,
}

/// The waiting budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("waiting {needed_seconds} s more would exceed the budget of {budget_seconds} s")]
pub struct OutOfPatience {
    pub needed_seconds: u64,
    pub budget_seconds: u64,
}

/// Why a request was not let through.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    #[error(transparent)]
    OutOfPatience(#[from] OutOfPatience),
    /// GitHub has refused another request until after the budget's end, with these words.
    #[error("{message}")]
    Limited { message: String, wait: Duration },
    /// The user interrupted the run.
    #[error("the run was interrupted")]
    Stopped,
}

fn full_rate() -> f64 {
    points(POINTS_PER_MINUTE) / 60.0
}

#[expect(clippy::cast_precision_loss, reason = "points are few")]
fn points(count: u64) -> f64 {
    count as f64
}

impl Pace {
    #[must_use]
    pub fn new(settings: PaceSettings) -> Self {
        let bucket = Bucket {
            points: points(POINTS_PER_MINUTE),
            refilled: Instant::now(),
            rate: full_rate(),
            slowed: None,
            gate: None,
            budget: settings.max_wait,
            waiting_until: Instant::now(),
        };
        Self {
            settings,
            bucket: Mutex::new(bucket),
            slots: Semaphore::new(settings.concurrency.max(1)),
            counters: Counters::default(),
            stop: Stop::default(),
        }
    }

    #[must_use]
    pub fn settings(&self) -> PaceSettings {
        self.settings
    }

    /// What ends all waiting.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Waits for a free slot and for enough points; the permit is held while the request is under way.
    ///
    /// # Errors
    /// [`NotAdmitted`] when the waiting budget does not cover the wait, or the run was interrupted.
    pub async fn admit(&self, cost: u64) -> Result<Option<SemaphorePermit<'_>>, NotAdmitted> {
        loop {
            // The semaphore is never closed; if it were, requests would go without a slot.
            let permit = self.slots.acquire().await.ok();
            if self.stop.is_asked() {
                return Err(NotAdmitted::Stopped);
            }
            let wait = self.take(cost).await?;
            if wait.is_zero() {
                self.count(cost);
                return Ok(permit);
            }
            drop(permit);
            let began = Instant::now();
            let waited = self.wait(wait).await;
            self.counters.waited_ms.fetch_add(milliseconds(began.elapsed()), Ordering::Relaxed);
            waited?;
        }
    }

    /// Waits for a slot only, past gate and bucket: for what an interrupted run still has to say.
    pub async fn admit_last(&self, cost: u64) -> Option<SemaphorePermit<'_>> {
        let permit = self.slots.acquire().await.ok();
        self.count(cost);
        permit
    }

    async fn wait(&self, wait: Duration) -> Result<(), NotAdmitted> {
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stop.asked() => Err(NotAdmitted::Stopped),
        }
    }

    fn count(&self, cost: u64) {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        self.counters.points.fetch_add(cost, Ordering::Relaxed);
        self.counters.writes.fetch_add(u64::from(cost > 1), Ordering::Relaxed);
    }

    /// Takes the points, or says how long to wait for them; the wait is charged to the budget.
    async fn take(&self, cost: u64) -> Result<Duration, NotAdmitted> {
        let mut bucket = self.bucket.lock().await;
        let now = Instant::now();
        if let Some(gate) = bucket.gate.as_ref().filter(|gate| gate.until > now) {
            let wait = gate.until - now;
            return match &gate.refused {
                // Not even asked: GitHub said until when it would refuse.
                Some(message) => Err(NotAdmitted::Limited { message: message.clone(), wait }),
                // Waiting at the gate is charged once, when the gate is closed.
                None => Ok(wait),
            };
        }
        if !self.settings.limited {
            return Ok(Duration::ZERO);
        }
        bucket.refill(now);
        if bucket.points >= points(cost) {
            bucket.points -= points(cost);
            return Ok(Duration::ZERO);
        }
        let wait = Duration::from_secs_f64(((points(cost) - bucket.points) / bucket.rate).max(0.001));
        // Many may wait for the same points: the time passes once for all of them.
        let until = now + wait;
        let already = bucket.waiting_until.max(now);
        if until > already {
            bucket.charge(until - already, self.settings.max_wait)?;
            bucket.waiting_until = until;
        }
        Ok(wait)
    }

    /// Closes the gate for `wait`, as GitHub's answer `message` asked; `secondary` also halves the rate.
    ///
    /// # Errors
    /// [`OutOfPatience`] when the budget does not cover the wait.
    pub async fn close_gate(&self, wait: Duration, secondary: bool, message: &str) -> Result<(), OutOfPatience> {
        let mut bucket = self.bucket.lock().await;
        let now = Instant::now();
        let until = now + wait;
        let closed = bucket.gate.take().filter(|gate| gate.until > now);
        let mut gate = closed.unwrap_or(Gate { until: now, refused: None });
        let mut charged = Ok(());
        if until > gate.until {
            charged = bucket.charge(until - gate.until, self.settings.max_wait);
            gate.until = until;
        }
        if charged.is_err() {
            gate.refused = Some(message.to_owned());
        }
        bucket.gate = Some(gate);
        charged?;
        if secondary {
            bucket.rate = (bucket.rate / 2.0).max(1.0);
            bucket.slowed = Some(until);
        }
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Sleeps before another try of a failed request.
    ///
    /// # Errors
    /// [`NotAdmitted`] when the budget does not cover the wait, or the run was interrupted.
    pub async fn back_off(&self, wait: Duration) -> Result<(), NotAdmitted> {
        self.bucket.lock().await.charge(wait, self.settings.max_wait)?;
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
        self.wait(wait).await
    }

    #[must_use]
    pub fn usage(&self) -> Usage {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Usage {
            requests: read(&self.counters.requests),
            writes: read(&self.counters.writes),
            points: read(&self.counters.points),
            retries: read(&self.counters.retries),
            waited_ms: read(&self.counters.waited_ms),
        }
    }
}

impl Bucket {
    fn refill(&mut self, now: Instant) {
        let minute = Duration::from_secs(60);
        while let Some(slowed) = self.slowed.filter(|slowed| now.saturating_duration_since(*slowed) >= minute) {
            self.rate = (self.rate + full_rate() / 10.0).min(full_rate());
            self.slowed = (self.rate < full_rate()).then(|| slowed + minute);
        }
        let gained = now.saturating_duration_since(self.refilled).as_secs_f64() * self.rate;
        self.points = (self.points + gained).min(points(POINTS_PER_MINUTE));
        self.refilled = now;
    }

    fn charge(&mut self, wait: Duration, budget: Duration) -> Result<(), OutOfPatience> {
        match self.budget.checked_sub(wait) {
            Some(left) => {
                self.budget = left;
                Ok(())
            }
            None => Err(OutOfPatience { needed_seconds: wait.as_secs().max(1), budget_seconds: budget.as_secs() }),
        }
    }
}

fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_free_and_then_three_writes_a_second() {
        let pace = Pace::new(PaceSettings::default());
        let start = Instant::now();
        for _ in 0..180 {
            drop(pace.admit(5).await.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        for _ in 0..30 {
            drop(pace.admit(5).await.unwrap());
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((9.5..=10.5).contains(&seconds), "{seconds}");
        assert_eq!(pace.usage().writes, 210);
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_together_pay_for_the_time_once() {
        let pace = Pace::new(PaceSettings { max_wait: Duration::from_secs(200), ..PaceSettings::default() });
        let start = Instant::now();
        let all = (0..600).map(|_| async { pace.admit(5).await.map(drop) });
        let refused = futures_util::future::join_all(all).await.into_iter().filter(Result::is_err).count();
        assert_eq!(refused, 0);
        // 420 writes over the burst, three a second.
        let seconds = start.elapsed().as_secs_f64();
        assert!((139.0..150.0).contains(&seconds), "{seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn once_the_budget_is_spent_nothing_is_sent_into_a_closed_gate() {
        let pace = Pace::new(PaceSettings { max_wait: Duration::from_secs(30), ..PaceSettings::default() });
        assert!(pace.close_gate(Duration::from_secs(3600), false, "wait").await.is_err());
        let wait = Duration::from_secs(3600);
        assert_eq!(pace.admit(1).await.unwrap_err(), NotAdmitted::Limited { message: "wait".to_owned(), wait });
        assert_eq!(pace.usage().requests, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_waits() {
        let pace = Pace::new(PaceSettings { limited: false, ..PaceSettings::default() });
        let start = Instant::now();
        for _ in 0..2000 {
            drop(pace.admit(5).await.unwrap());
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_holds_everyone_and_a_secondary_limit_halves_the_rate() {
        let pace = Pace::new(PaceSettings::default());
        for _ in 0..180 {
            drop(pace.admit(5).await.unwrap());
        }
        let start = Instant::now();
        pace.close_gate(Duration::from_secs(10), true, "wait").await.unwrap();
        // Ten seconds at half the rate are 75 points: fifteen writes.
        for _ in 0..15 {
            drop(pace.admit(5).await.unwrap());
        }
        let seconds = start.elapsed().as_secs_f64();
        assert!((10.0..10.2).contains(&seconds), "{seconds}");
        drop(pace.admit(5).await.unwrap());
        assert!(start.elapsed().as_secs_f64() > 10.5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupt_ends_all_waiting_and_lets_the_last_words_through() {
        let pace = Pace::new(PaceSettings::default());
        pace.close_gate(Duration::from_secs(600), false, "wait").await.unwrap();
        let start = Instant::now();
        let interrupt = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            pace.stop().ask();
        };
        let (at_the_gate, backing_off, ()) =
            tokio::join!(pace.admit(5), pace.back_off(Duration::from_secs(60)), interrupt);
        assert_eq!(at_the_gate.unwrap_err(), NotAdmitted::Stopped);
        assert_eq!(backing_off.unwrap_err(), NotAdmitted::Stopped);
        assert_eq!(pace.admit(1).await.unwrap_err(), NotAdmitted::Stopped);
        assert!(pace.admit_last(5).await.is_some());
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        assert_eq!((pace.usage().requests, pace.usage().waited_ms), (1, 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn the_waiting_budget_ends() {
        let pace = Pace::new(PaceSettings { max_wait: Duration::from_secs(30), ..PaceSettings::default() });
        pace.close_gate(Duration::from_secs(20), false, "wait").await.unwrap();
        // The same limit seen by another request costs nothing more.
        pace.close_gate(Duration::from_secs(20), false, "wait").await.unwrap();
        let refused = pace.close_gate(Duration::from_secs(60), false, "wait").await.unwrap_err();
        assert_eq!(refused.budget_seconds, 30);
        pace.back_off(Duration::from_secs(10)).await.unwrap();
        assert!(pace.back_off(Duration::from_secs(1)).await.is_err());
    }
}
