//! A release to install from: an archive, the manifest that pins it, and a loopback server that misbehaves
//! as told.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::manifest::{Asset, manifest};

pub const TARGET: &str = "x86_64-unknown-linux-musl";
pub const ASSET: &str = "sophia-secrets-sync-x86_64-unknown-linux-musl.tar.gz";

/// Stands for the binary where a test looks at the installer: it writes down how it was called.
const PROBE: &str = "#!/bin/sh
printf '%s\\n' \"$@\" >\"$PROBE_ARGUMENTS\"
env -0 >\"$PROBE_ENVIRONMENT\"
printf 'changed=true\\ncreated<<END\\n3\\nEND\\n' >>\"$GITHUB_OUTPUT\"
printf '# done\\n' >>\"$GITHUB_STEP_SUMMARY\"
echo \"::add-mask::$PROBE_SECRET\"
echo 'the probe ran'
echo 'and said so' >&2
echo \"secret $PROBE_SECRET\" >&2
exit ${PROBE_EXIT:-0}
";

/// The archive of a release, in memory.
#[derive(Clone)]
pub struct Archive(pub Vec<u8>);

impl Archive {
    /// Packs `content` under each of `members`; names may climb out with `../`.
    pub fn of(content: &[u8], members: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        std::fs::create_dir_all(&inner).unwrap();
        for member in members {
            std::fs::write(inner.join(member), content).unwrap();
        }
        let archive = folder.path().join("archive");
        let done = Command::new("tar").arg("-czPf").arg(&archive).args(members).current_dir(&inner).status().unwrap();
        assert!(done.success());
        Self(std::fs::read(archive).unwrap())
    }

    pub fn of_probe() -> Self {
        Self::of(PROBE.as_bytes(), &["sophia-secrets-sync"])
    }

    /// Pins this archive in the manifest of an action's folder, as the release does.
    pub fn pin(&self, action: &Path) {
        let asset = Asset::new(ASSET, &self.0).unwrap();
        let text = manifest("1.2.3", "0123456789abcdef0123456789abcdef01234567", vec![asset]).unwrap();
        std::fs::write(action.join("dist/manifest.json"), text).unwrap();
    }

    /// Where the installer keeps it, below the runner's tool cache.
    pub fn cached(&self, tools: &Path) -> PathBuf {
        let sha256 = Asset::new(ASSET, &self.0).unwrap().sha256;
        tools.join("sophia-secrets-sync/1.2.3").join(&sha256[..16]).join(ASSET)
    }

    /// Puts it into a folder, as a mirror by `file://`; the URL of the folder.
    pub fn in_folder(&self, folder: &Path) -> String {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join(ASSET), &self.0).unwrap();
        format!("file://{}", folder.display())
    }
}

/// What the server answers to one request.
#[derive(Clone)]
pub enum Answer {
    Status(u16),
    Bytes(Vec<u8>),
    /// Half of the bytes, then the connection ends.
    Cut(Vec<u8>),
    Redirect(String),
    /// Bytes without end and without a length, until the client goes away.
    Endless,
}

/// A loopback HTTP server; it ends with the test's process.
pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Answers each request with the next of `answers`, the last one for ever.
    pub fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut answers = VecDeque::from(answers);
            for stream in listener.incoming() {
                let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
                let _ = serve(stream.unwrap(), &answer.unwrap(), &seen);
            }
        });
        Self { url, requests }
    }

    /// The head of every request so far: request line and headers.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, answer: &Answer, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut head = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let start = head.len();
        if reader.read_line(&mut head)? <= 2 || head.len() - start <= 2 {
            break;
        }
    }
    seen.lock().unwrap().push(head);
    match answer {
        Answer::Status(status) => {
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
        }
        Answer::Redirect(to) => {
            write!(stream, "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Answer::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[0; 65_536])?;
            }
        }
        Answer::Bytes(bytes) | Answer::Cut(bytes) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len())?;
            let sent = if matches!(answer, Answer::Cut(_)) { bytes.len() / 2 } else { bytes.len() };
            stream.write_all(&bytes[..sent])
        }
    }
}
