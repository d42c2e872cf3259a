//! Pulls a whole account over one IMAP connection, to measure the client by itself: no archive, no source.
//!
//! `cargo run --release --example imap_pull HOST:PORT USER PASSWORD [MAILDIR]`
//!
//! With MAILDIR each message is also written to a file there, without waiting for the disk.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use tokio::net::TcpStream;
use tokio::runtime::Builder;
use vandelay::model::Body;
use vandelay::net::endpoint::Security;
use vandelay::protocol::imap::{Arrival, Client, Error, Fault, Items, Options, Pipeline, Result, UidSet, Wanted};

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, user, password, into @ ..] = arguments.as_slice() else {
        return Err("usage: imap_pull HOST:PORT USER PASSWORD [MAILDIR]".into());
    };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let start = Instant::now();
    let (messages, bytes) = runtime.block_on(pull(server, user, password, into.first().map(PathBuf::from)))?;
    println!("{messages} messages, {bytes} bytes in {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}

async fn pull(server: &str, user: &str, password: &str, into: Option<PathBuf>) -> Result<(u64, u64)> {
    let local = |_: io::Error| Error::new(Fault::Local, "cannot write a file");
    let stream = TcpStream::connect(server).await.map_err(|_| Error::new(Fault::Protocol, "cannot connect"))?;
    let mut client = Client::connect(stream, Options::new(Security::Clear)).await?;
    client.login(user, password).await?;
    client.enable().await?;
    let (mut messages, mut bytes) = (0, 0);
    for (number, folder) in client.folders(true).await?.into_iter().enumerate() {
        if !folder.is_selectable() || folder.status.as_ref().is_some_and(|status| status.messages == Some(0)) {
            continue;
        }
        client.examine(&folder.listed.raw, None, &mut |_| {}).await?;
        let mut listing = client.list(&UidSet::all(), Items::LISTING, None).await?;
        let mut wanted = Vec::new();
        while let Some(fetched) = listing.next().await? {
            wanted.extend(fetched.uid.map(|uid| Wanted { uid, size: fetched.size.unwrap_or(0) }));
        }
        let into = into.as_ref().map(|into| into.join(number.to_string()).join("cur"));
        into.iter().try_for_each(fs::create_dir_all).map_err(local)?;
        let mut bodies = client.bodies(wanted, Pipeline::default()).await?;
        while let Some(arrival) = bodies.next().await? {
            let Arrival::Message(message) = arrival else { continue };
            messages += 1;
            let Body::Bytes(body) = message.body else { continue };
            bytes += body.len() as u64;
            if let Some(into) = &into {
                fs::write(into.join(format!("{}:2,", message.uid)), body).map_err(local)?;
            }
        }
    }
    client.logout().await;
    Ok((messages, bytes))
}
