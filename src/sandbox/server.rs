//! The listeners, and the way of one request: fault, answer, latency, log.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, Request as HttpRequest, State};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::admin;
use super::esc::Esc;
use super::exchange::Call;
use super::faults::{Cut, Effect, Faults};
use super::github::Github;
use super::github_access::secondary_limit;
use super::guard::{self, Guard};
use super::listener::{Connection, LoopbackListener};
use super::request_log::{Request, RequestLog};
use super::response::{plain, respond};
use super::seed::{EscTokenSeed, Seed, TokenSeed};
use crate::io::esc_local::EscLocal;

/// Where the sandbox takes the time from: the caller's clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// The largest request body that is read, in bytes.
const LARGEST_BODY: usize = 16 << 20;

pub struct Options {
    /// 0 takes any free port.
    pub github_port: u16,
    pub pulumi_port: u16,
    /// GitHub answers on this Unix socket too; the file must not exist.
    pub github_socket: Option<PathBuf>,
    pub clock: Clock,
    /// Tokens that may do everything.
    pub github_token: String,
    pub pulumi_token: String,
    pub seed: Seed,
    store: Option<EscLocal>,
    /// From each request to its answer; what the sandbox itself takes is a part of it.
    pub latency: Duration,
}

impl Options {
    /// Free ports, an empty world, everything allowed with the two tokens.
    pub fn new(clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            github_port: 0,
            pulumi_port: 0,
            github_socket: None,
            clock: Arc::new(clock),
            github_token: "ghp_sandbox".to_owned(),
            pulumi_token: "pul-sandbox".to_owned(),
            seed: Seed::default(),
            store: None,
            latency: Duration::ZERO,
        }
    }

    /// Pulumi Cloud keeps environments in `store`, not in memory. Its secrets are real ones, so the token for them is
    /// made anew, and nothing shows or changes them without it.
    #[must_use]
    pub fn keep_in(self, store: EscLocal) -> Self {
        Self { store: Some(store), pulumi_token: guard::new_token(), ..self }
    }
}

/// Both services behind one lock: an answer is a short computation.
pub struct World {
    pub github: Github,
    pub esc: Esc,
    pub log: RequestLog,
    pub faults: Faults,
    pub latency: Duration,
    pub advanced_seconds: i64,
}

impl World {
    pub fn apply(&mut self, seed: &Seed, now: Timestamp) -> Result<(), String> {
        self.github.apply(&seed.github, now)?;
        self.esc.apply(&seed.esc, now)
    }

    pub fn state(&self) -> Json {
        json!({"github": self.github.state(), "esc": self.esc.state()})
    }
}

struct Shared {
    world: Mutex<World>,
    /// Where a store is served.
    guard: Option<Guard>,
    clock: Clock,
    arrived: watch::Sender<usize>,
}

impl Shared {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self, world: &World) -> Timestamp {
        let now = (self.clock)();
        now.checked_add(SignedDuration::from_secs(world.advanced_seconds)).unwrap_or(now)
    }
}

/// A running sandbox. It stops when this is dropped.
pub struct Running {
    /// What `GITHUB_API_URL` must be; no trailing slash.
    pub github_url: String,
    /// What `PULUMI_BACKEND_URL` must be; no trailing slash.
    pub pulumi_url: String,
    pub github_token: String,
    pub pulumi_token: String,
    /// What `ACTIONS_ID_TOKEN_REQUEST_URL` must be, to play a job that may ask for OIDC tokens.
    pub id_token_url: String,
    pub id_token_request_token: String,
    shared: Arc<Shared>,
    arrived: watch::Receiver<usize>,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Everything that both services hold, in clear.
    #[must_use]
    pub fn state(&self) -> Json {
        self.shared.world().state()
    }

    /// The requests since the start or [`Self::clear_requests`]; administrative ones are not among them.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.shared.world().log.entries().to_vec()
    }

    pub fn clear_requests(&self) {
        self.shared.world().log.clear();
    }

    /// Number of requests, connections, and the most at once.
    #[must_use]
    pub fn statistics(&self) -> Json {
        self.shared.world().log.statistics()
    }

    /// Changes the world from outside: JSON of a [`Seed`].
    ///
    /// # Errors
    /// A sentence when the JSON is no seed.
    pub fn edit(&self, seed: Json) -> Result<(), String> {
        let seed: Seed = serde_json::from_value(seed).map_err(|error| error.to_string())?;
        let mut world = self.shared.world();
        let now = self.shared.now(&world);
        world.apply(&seed, now)
    }

    /// Adds one fault or a list of them: JSON as of `POST /_sandbox/faults`.
    ///
    /// # Errors
    /// A sentence when the JSON is no fault.
    pub fn fault(&self, faults: Json) -> Result<(), String> {
        admin::add_faults(&mut self.shared.world(), faults)
    }

    pub fn clear_faults(&self) {
        self.shared.world().faults.clear();
    }

    pub fn set_latency(&self, latency: Duration) {
        self.shared.world().latency = latency;
    }

    /// Moves the sandbox's clock.
    pub fn advance(&self, seconds: i64) {
        self.shared.world().advanced_seconds += seconds;
    }

    /// Waits until so many requests have arrived since the start.
    pub async fn arrived(&self, count: usize) {
        let mut arrived = self.arrived.clone();
        let _ = arrived.wait_for(|seen| *seen >= count).await;
    }

    /// Stops listening and cuts what is open.
    pub fn shutdown(self) {
        let _ = self.stop.send(true);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
    }
}

/// The token that a job sends for an id token.
const ID_TOKEN_REQUEST_TOKEN: &str = "sandbox-id-token-request";

/// Starts both services on the loopback interface.
///
/// # Errors
/// When a port cannot be had, or the seed is wrong (as `InvalidInput`).
pub async fn start(options: Options) -> io::Result<Running> {
    let (arrived, receiver) = watch::channel(0);
    let (stop, _) = watch::channel(false);
    let mut seed = options.seed;
    seed.github.tokens.entry(options.github_token.clone()).or_insert(Some(TokenSeed::default()));
    seed.esc.tokens.entry(options.pulumi_token.clone()).or_insert(Some(EscTokenSeed::default()));
    let guard = options.store.is_some().then(|| Guard::new(&options.pulumi_token));
    let mut world = World {
        github: Github::default(),
        esc: Esc::new(ID_TOKEN_REQUEST_TOKEN, options.store),
        log: RequestLog::default(),
        faults: Faults::default(),
        latency: options.latency,
        advanced_seconds: 0,
    };
    let wrong = |problem: String| io::Error::new(io::ErrorKind::InvalidInput, problem);
    world.apply(&seed, (options.clock)()).map_err(wrong)?;
    let shared = Arc::new(Shared { world: Mutex::new(world), guard, clock: options.clock, arrived });
    let github_url = serve("github", options.github_port, &shared, &stop).await?;
    if let Some(path) = &options.github_socket {
        serve_socket(path, &shared, &stop)?;
    }
    let pulumi_url = serve("pulumi", options.pulumi_port, &shared, &stop).await?;
    Ok(Running {
        id_token_url: format!("{github_url}/_actions/id-token?api-version=2.0"),
        id_token_request_token: ID_TOKEN_REQUEST_TOKEN.to_owned(),
        github_url,
        pulumi_url,
        github_token: options.github_token,
        pulumi_token: options.pulumi_token,
        shared,
        arrived: receiver,
        stop,
    })
}

/// Listens on one port and answers its base URL.
async fn serve(
    service: &'static str,
    port: u16,
    shared: &Arc<Shared>,
    stop: &watch::Sender<bool>,
) -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let address = listener.local_addr()?;
    let url = format!("http://{address}");
    let serving = axum::serve(LoopbackListener(listener), service_of(service, Some(address.port()), shared));
    spawn(serving.into_future(), stop);
    Ok(url)
}

type Service = axum::extract::connect_info::IntoMakeServiceWithConnectInfo<Router, Connection>;

/// `port` is none on a Unix socket.
fn service_of(service: &'static str, port: Option<u16>, shared: &Arc<Shared>) -> Service {
    let router = Router::new().fallback(answer).with_state((service, port, Arc::clone(shared)));
    router.into_make_service_with_connect_info::<Connection>()
}

/// Serves until the sandbox stops.
fn spawn(serving: impl Future<Output = io::Result<()>> + Send + 'static, stop: &watch::Sender<bool>) {
    let mut stopped = stop.subscribe();
    tokio::spawn(async move {
        tokio::select! {
            _ = serving => {}
            _ = stopped.wait_for(|stopped| *stopped) => {}
        }
    });
}

#[cfg(unix)]
fn serve_socket(path: &std::path::Path, shared: &Arc<Shared>, stop: &watch::Sender<bool>) -> io::Result<()> {
    let listener = super::listener::SocketListener(tokio::net::UnixListener::bind(path)?);
    spawn(axum::serve(listener, service_of("github", None, shared)).into_future(), stop);
    Ok(())
}

#[cfg(not(unix))]
fn serve_socket(_: &std::path::Path, _: &Arc<Shared>, _: &watch::Sender<bool>) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// The way of one request.
async fn answer(
    State((service, port, shared)): State<(&'static str, Option<u16>, Arc<Shared>)>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: HttpRequest,
) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return plain(413);
    };
    let mut segments = Call::split(&path);
    let host = parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let mut base = format!("http://{host}");
    if service == "github" && segments.iter().take(2).eq(["api", "v3"].iter()) {
        segments.drain(..2);
        base.push_str("/api/v3");
    }
    if service == "github" && segments.iter().take(2).eq(["api", "graphql"].iter()) {
        segments.drain(..1);
    }
    let service = if segments.first().is_some_and(|first| first == "_actions") { "id-token" } else { service };
    let method = parts.method.to_string();
    let mut call = Call {
        method: parts.method,
        segments,
        query: Call::split_query(parts.uri.query()),
        headers: parts.headers,
        body,
        base,
        now: Timestamp::UNIX_EPOCH,
    };
    if let Some(refusal) = shared.guard.as_ref().and_then(|guard| guard.refusal(&call, port)) {
        return respond(refusal, None);
    }
    if call.segments.first().is_some_and(|first| first == "_sandbox") {
        let mut world = shared.world();
        call.now = shared.now(&world);
        return respond(admin::answer(&mut world, &call), None);
    }
    let (ticket, latency, fault) = {
        let mut world = shared.world();
        let ticket = world.log.arrive(Request {
            service,
            method: method.clone(),
            path: path.clone(),
            query,
            status: None,
            milliseconds: 0,
            connection: connection.number,
        });
        (ticket, world.latency, world.faults.pick(service, &method, &path))
    };
    shared.arrived.send_modify(|seen| *seen += 1);
    let fault = fault.unwrap_or_default();
    let delay = Duration::from_millis(fault.delay_ms);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let (response, status) = outcome(service, &shared, &mut call, &fault, &connection);
    hold_until(began + delay + latency).await;
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    shared.world().log.leave(ticket, status, milliseconds);
    response
}

/// Waits on a thread: the runtime's timers count whole milliseconds, and a benchmark would put what they are late down
/// to its client.
async fn hold_until(time: Instant) {
    let rest = time.saturating_duration_since(Instant::now());
    if !rest.is_zero() {
        let _ = tokio::task::spawn_blocking(move || std::thread::sleep(rest)).await;
    }
}

/// Carries a request out, or not, as the fault says.
fn outcome(
    service: &str,
    shared: &Shared,
    call: &mut Call,
    fault: &Effect,
    connection: &Connection,
) -> (Response, Option<u16>) {
    if fault.cut == Some(Cut::Before) {
        connection.cut();
        return (plain(500), None);
    }
    let mut world = shared.world();
    call.now = shared.now(&world);
    let mut reply = match fault.instead(call.now) {
        Some(mut reply) => {
            if service == "github" {
                world.github.access.stamp(call, &mut reply);
            }
            reply
        }
        None if service == "github" => {
            let most = world.github.access.limits.concurrent;
            if most.is_some_and(|most| world.log.in_flight() > most) {
                secondary_limit()
            } else {
                world.github.answer(call)
            }
        }
        None => world.esc.answer(call),
    };
    fault.alter(&mut reply);
    if fault.rotate_key {
        world.github.rotate_key(call);
    }
    drop(world);
    if fault.cut == Some(Cut::After) {
        connection.cut();
        return (plain(500), None);
    }
    let status = reply.status;
    (respond(reply, Some(fault)), Some(status))
}
