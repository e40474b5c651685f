//! A read service that links the consumer: every answer comes from memory.
//!
//! `cargo run --release --example service -- target/quickstart`, after the quickstart has left a dataset there; then
//! `curl -i localhost:8080/features/css.properties.grid`, `/health`, `/ready`.

use std::error::Error;

use axum::extract::{Path, State};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cenote_consumer::Consumer;
use cenote_examples::compat::{Browser, Feature};

const VERSION: HeaderName = HeaderName::from_static("x-cenote-version");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url =
        arguments.next().ok_or("usage: service DATASET [ADDRESS]; the quickstart leaves one in target/quickstart")?;
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".to_owned());

    let consumer = Consumer::builder(url).with::<Feature>().with::<Browser>().open().await?;
    let service = Router::new()
        .route("/features/{path}", get(feature))
        .route("/health", get(health))
        .route("/ready", get(ready))
        .with_state(consumer);
    let listener = tokio::net::TcpListener::bind(&address).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, service).await?)
}

/// One record as JSON, and the version that it was read from. One view serves the whole request.
async fn feature(State(consumer): State<Consumer>, Path(path): Path<String>) -> Response {
    let view = consumer.view();
    let version = [(VERSION, view.version().to_string())];
    match view.get::<Feature>(&path) {
        Some(feature) => (version, Json(feature.to_owned())).into_response(),
        None => (StatusCode::NOT_FOUND, version, format!("no feature {path}\n")).into_response(),
    }
}

/// Whether the process is alive: it is if it answers. The text about the data is for people.
async fn health(State(consumer): State<Consumer>) -> Response {
    let status = consumer.status();
    ([(header::CACHE_CONTROL, "no-store")], format!("{}, version {}\n", status.health, status.version)).into_response()
}

/// Whether it has data to serve. Stale data counts: a read service keeps answering. A dataset without the types that this
/// program reads is the wrong one.
async fn ready(State(consumer): State<Consumer>) -> Response {
    let status = consumer.status();
    if !consumer.is_serving() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no version yet\n").into_response();
    }
    if !status.missing_types.is_empty() {
        let missing = status.missing_types.join(", ");
        return (StatusCode::SERVICE_UNAVAILABLE, format!("the dataset lacks {missing}\n")).into_response();
    }
    StatusCode::OK.into_response()
}
