//! The operator's own port: `/livez`, `/readyz`, `/metrics`, `/version`, `/evidence`. Plain HTTP, for the loopback interface or
//! a network that strangers do not reach; it shows numbers, and what can be slashed, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use xmtp_proto::time::{Clock, Timestamp};

use crate::chain::ChainHandle;
use crate::disk::DiskSpace;
use crate::evidence;
use crate::ingest::Ingest;
use crate::metrics::{Metrics, Snapshot};
use crate::places::Places;
use crate::slashing::Offer;
use crate::store::Store;

/// As OpenMetrics 1.0 names itself.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the operator may see. Clones see the same.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) metrics: Metrics,
    pub(crate) store: Store,
    pub(crate) chain: ChainHandle,
    pub(crate) disk: DiskSpace,
    pub(crate) offer: Arc<Offer>,
    pub(crate) clock: Clock,
    pub(crate) started_at: Timestamp,
    pub(crate) view_age_max: Duration,
    pub(crate) load: Load,
    pub(crate) chain_id: u64,
    pub(crate) stop: CancellationToken,
}

/// How much is under way: read from what bounds it.
#[derive(Clone)]
pub(crate) struct Load {
    pub(crate) ingest: Ingest,
    pub(crate) submission_bytes: usize,
    pub(crate) streams: Places,
}

impl Load {
    fn submission_bytes(&self) -> usize {
        self.submission_bytes.saturating_sub(self.ingest.room_bytes())
    }
}

/// Whether the node does its work, and what keeps it from doing so.
#[derive(Clone, Copy, Debug)]
struct Readiness {
    store: bool,
    chain: bool,
    serving: bool,
    /// Says nothing about readiness: what is stored is served even if nothing more is taken.
    disk: bool,
}

impl Readiness {
    const fn ready(self) -> bool {
        self.store && self.chain && self.serving
    }
}

impl Admin {
    fn readiness(&self) -> Readiness {
        let fresh = self.chain.view().require_fresh(self.clock.now(), self.view_age_max);
        Readiness {
            store: self.store.is_open(),
            chain: fresh.is_ok(),
            serving: !self.stop.is_cancelled(),
            disk: self.disk.require_room().is_ok(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let view = self.chain.view();
        Snapshot {
            chain_head: view.head().map_or(0, |head| head.number),
            chain_applied: view.applied().unwrap_or_default(),
            view_age: self.clock.now().since(view.as_of().unwrap_or(self.started_at)),
            log_cursor: self.store.durable().0,
            streams_open: self.load.streams.taken(),
            submission_bytes: self.load.submission_bytes(),
            disk_free_bytes: self.disk.free(),
            ready: self.readiness().ready(),
        }
    }
}

/// Serves until it is told to stop, which is after all the rest has.
pub(crate) async fn serve(listener: TcpListener, admin: Admin, stop: CancellationToken) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route(evidence::PATH, get(slashable))
        .with_state(admin);
    // Connections that are open then end with the process: nothing is at stake on them.
    tokio::select! {
        ended = axum::serve(listener, routes).into_future() => ended,
        () = stop.cancelled() => Ok(()),
    }
}

async fn livez() -> &'static str {
    "ok\n"
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let it = admin.readiness();
    let Readiness { store, chain, serving, disk } = it;
    let body = serde_json::json!({
        "ready": it.ready(),
        "store_open": store,
        "chain_view_fresh": chain,
        "serving": serving,
        "disk_has_room": disk,
    });
    let status = if it.ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json(&body)).into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    match admin.metrics.encode(admin.snapshot()) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        // Only a label that cannot be written fails, and ours are constants.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn version(State(admin): State<Admin>) -> Response {
    let body = serde_json::json!({
        "name": env!("CARGO_PKG_NAME"),
        "version": env!("CARGO_PKG_VERSION"),
        "chain_id": admin.chain_id,
    });
    json(&body).into_response()
}

async fn slashable(State(admin): State<Admin>) -> Response {
    let listed = admin.offer.list().await.map_err(|error| error.to_string());
    match listed.and_then(|all| serde_json::to_value(all).map_err(|error| error.to_string())) {
        Ok(all) => json(&all).into_response(),
        Err(error) => {
            tracing::error!(error, "the evidence cannot be shown");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn json(body: &serde_json::Value) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, "application/json")], format!("{body}\n"))
}
