//! A server with axum: a page, a form that comes back, and a clock that sends events.
//!
//! ```console
//! $ cd examples/frameworks
//! $ cargo run --release --locked --bin axum
//! ```

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::response::Html;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use futures_util::stream::{Stream, unfold};
use hello_frameworks::{BoxError, PAGE, run};
use hello_runtime::time::sleep;
use hyper_util::service::TowerToHyperService;

fn main() -> Result<(), BoxError> {
    let app = Router::new()
        .route("/", get(async || Html(PAGE)))
        .route("/echo", post(async |body: String| body))
        .route("/clock", get(clock));
    run(TowerToHyperService::new(app))
}

/// An event each second, with the number of seconds.
async fn clock() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(unfold(1, async |second| {
        sleep(Duration::from_secs(1)).await;
        Some((Ok(Event::default().data(second.to_string())), second + 1))
    }))
}
