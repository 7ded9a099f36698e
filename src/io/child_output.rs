//! A child's output on its way through a redactor.
//!
//! Two threads a stream. One reads, redacts and writes, and hands the bytes to nobody on their way: at full speed waking a
//! thread for each chunk costs more than redacting it. The other sleeps unless nothing comes while something is waited for:
//! a read cannot be told to give up after a while.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::rules::redaction::Redactor;

/// Bytes that are read from the child at once; what a pipe holds on Linux.
const CHUNK: usize = 64 * 1024;

/// How long a stream rests before a short beginning of a possible secret is shown: less than a person notices.
const PAUSE: Duration = Duration::from_millis(20);

/// How long output is waited for after the child has ended, while a grandchild keeps the stream open.
const LINGER: Duration = Duration::from_millis(250);

/// One stream that is being copied.
pub(super) struct Copying {
    news: Sender<News>,
    done: oneshot::Receiver<()>,
}

impl Copying {
    /// Begins to copy what the child will write into the answered end of a pipe.
    ///
    /// # Errors
    /// The pipe or a thread could not be made.
    pub(super) fn begin(redactor: Redactor, to: Box<dyn Write + Send>) -> io::Result<(Self, PipeWriter)> {
        let (from, into) = io::pipe()?;
        let stream = Arc::new(Mutex::new(Stream { redactor, to, out: Vec::new(), reads: 0, open: true }));
        let (news, told) = mpsc::channel();
        let (tell_done, done) = oneshot::channel();
        let (copied, telling) = (Arc::clone(&stream), news.clone());
        thread::Builder::new().spawn(move || copy(from, &copied, &telling))?;
        thread::Builder::new().spawn(move || {
            attend(&stream, &told);
            // Nobody waits any more after a child that could not be waited for.
            let _ = tell_done.send(());
        })?;
        Ok((Self { news, done }, into))
    }

    /// The child has ended: output is waited for until none comes for [`LINGER`].
    pub(super) fn child_ended(&self) {
        // Nobody listens when the stream has ended already.
        let _ = self.news.send(News::ChildEnded);
    }

    /// Waits until all that came is written; after [`Self::child_ended`].
    pub(super) async fn end(self) {
        drop(self.news);
        let _ = self.done.await;
    }
}

/// What the attending thread is told. Nobody is left to tell it when the stream has ended.
enum News {
    /// A pause would now let bytes through.
    Waits,
    ChildEnded,
}

struct Stream {
    redactor: Redactor,
    to: Box<dyn Write + Send>,
    /// What may pass and is not written yet.
    out: Vec<u8>,
    /// So many reads have been redacted and written.
    reads: u64,
    /// No, when the stream has ended, was given up, or nobody reads what is written.
    open: bool,
}

impl Stream {
    fn take(&mut self, bytes: &[u8]) {
        self.reads += 1;
        self.redactor.push(bytes, &mut self.out);
        self.write();
    }

    fn pause(&mut self) {
        self.redactor.pause(&mut self.out);
        self.write();
    }

    fn finish(&mut self) {
        self.redactor.finish(&mut self.out);
        self.write();
        self.open = false;
    }

    fn write(&mut self) {
        let failed = !self.out.is_empty() && self.to.write_all(&self.out).and_then(|()| self.to.flush()).is_err();
        self.out.clear();
        self.open &= !failed;
    }
}

/// A thread that panicked has left nothing half done that matters here.
fn locked(stream: &Mutex<Stream>) -> MutexGuard<'_, Stream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies until the end. Closes `from` when nobody reads what is written, so that the child learns of it.
fn copy(mut from: PipeReader, stream: &Mutex<Stream>, news: &Sender<News>) {
    let mut chunk = vec![0; CHUNK];
    loop {
        let count = match from.read(&mut chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            count => count.unwrap_or(0),
        };
        let mut stream = locked(stream);
        if !stream.open {
            return;
        }
        match chunk.get(..count) {
            Some(bytes) if count > 0 => stream.take(bytes),
            _ => return stream.finish(),
        }
        if !stream.open {
            return;
        }
        if stream.redactor.waits() {
            let _ = news.send(News::Waits);
        }
    }
}

/// Looks after a stream that rests: lets a short beginning of a secret through, and gives the stream up when the child has
/// ended. While a write is held up by its reader the stream is locked, which is no rest.
fn attend(stream: &Mutex<Stream>, news: &Receiver<News>) {
    let mut child_ended = false;
    loop {
        let (reads, waits) = {
            let stream = locked(stream);
            (stream.reads, stream.redactor.waits())
        };
        let patience = match (waits, child_ended) {
            (true, _) => PAUSE,
            (false, true) => LINGER,
            (false, false) => Duration::MAX,
        };
        match news.recv_timeout(patience) {
            Ok(News::Waits) => {}
            Ok(News::ChildEnded) => child_ended = true,
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                let mut stream = locked(stream);
                match (stream.reads == reads, waits) {
                    (true, true) => stream.pause(),
                    (true, false) => return stream.finish(),
                    (false, _) => {}
                }
            }
        }
    }
}
