//! `--operations ADDR`: probes and metrics of whichever command runs for long.

use std::net::SocketAddr;

use affectory_core::Stop;
use affectory_web::{Operations, serve_operations};
use anyhow::Context as _;
use tokio::net::TcpListener;

/// Answers in the background until `stop` is requested.
pub async fn listen(operations: Operations, address: SocketAddr, stop: &Stop) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another address by --operations"))?;
    let address = listener.local_addr().context("cannot find out the address listened on")?;
    tracing::info!("probes and metrics on http://{address}");
    let stop = stop.clone();
    tokio::spawn(async move {
        if let Err(error) = serve_operations(operations, listener, stop).await {
            tracing::error!(%error, "probes and metrics are no longer answered");
        }
    });
    Ok(())
}
