//! The wish that a run ends, heard by everything that waits.

use tokio::sync::watch;

/// Set once by an interrupt of the user, or by a run that must not go on, and never taken back. Copies share one wish.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl Stop {
    /// Asks the run to end.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }

    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is asked.
    pub async fn asked(&self) {
        // The sender is `self`: waiting cannot fail while it lives.
        let _ = self.0.subscribe().wait_for(|asked| *asked).await;
    }
}
