//! A scripted peer for what no real server does: it says and does, step by step, what a test tells it.

use super::servers::Certificate;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the peer does next.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Says these bytes, all in one write.
    Say(Vec<u8>),
    /// Waits for a line that begins with this text (in any case); anything else ends the conversation.
    Hear(&'static str),
    /// Waits for a line, and says these bytes with `$1` replaced by its first word: the tag of IMAP.
    Answer(&'static str),
    /// TLS begins.
    Tls,
    /// Says these bytes over and over until the client has enough.
    Flood(Vec<u8>),
    /// Says nothing any more, until the client has enough.
    Silence,
}

/// `Say` for text.
pub(crate) fn say(text: &str) -> Step {
    Step::Say(text.as_bytes().to_vec())
}

/// The peer; its threads end with the test.
pub(crate) struct Fake {
    pub port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default, Clone)]
struct Seen {
    connections: usize,
    /// What came over the wire.
    raw: Vec<u8>,
    /// What the client said, decrypted.
    said: Vec<u8>,
}

impl Fake {
    /// Listens. The first connection gets the first script and so on; the last script serves all further ones.
    pub(crate) fn start(scripts: Vec<Vec<Step>>, certificate: &Certificate) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let config = certificate.server_config();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let all = Arc::clone(&seen);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                all.lock().expect("a lock").connections += 1;
                let script = scripts[number.min(scripts.len() - 1)].clone();
                let (config, seen) = (Arc::clone(&config), Arc::clone(&all));
                std::thread::spawn(move || {
                    let wire = Wire { stream, seen: Arc::clone(&seen) };
                    // A client that hangs up in the middle is what many tests want.
                    let _ = play(Line { layer: Layer::Plain(wire), seen, buffer: Vec::new() }, script, config);
                });
            }
        });
        Fake { port, seen }
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().expect("a lock").connections
    }

    /// What clients said, decrypted.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("a lock").said).into_owned()
    }

    /// True if this stands in what went over the wire or was said, as it is or in base64.
    pub(crate) fn has_seen(&self, secret: &str) -> bool {
        let seen = self.seen.lock().expect("a lock").clone();
        let encoded: Vec<Vec<u8>> = (0..3)
            .map(|shift| {
                let text = [&vec![0; shift][..], secret.as_bytes()].concat();
                let code = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, text);
                // What depends on the bytes around it is left out.
                code.as_bytes()[[0, 2, 3][shift]..code.len() - 2].to_vec()
            })
            .chain([secret.as_bytes().to_vec()])
            .collect();
        encoded.iter().any(|needle| [&seen.raw, &seen.said].into_iter().any(|hay| contains(hay, needle)))
    }
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// The socket; remembers what comes.
struct Wire {
    stream: TcpStream,
    seen: Arc<Mutex<Seen>>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.seen.lock().expect("a lock").raw.extend_from_slice(&buffer[..count]);
        Ok(count)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

enum Layer {
    Plain(Wire),
    Tls(Box<rustls::StreamOwned<rustls::ServerConnection, Wire>>),
    Gone,
}

struct Line {
    layer: Layer,
    seen: Arc<Mutex<Seen>>,
    buffer: Vec<u8>,
}

impl Line {
    fn say(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.layer {
            Layer::Plain(wire) => wire.write_all(bytes),
            Layer::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()),
            Layer::Gone => Err(std::io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn read(&mut self) -> std::io::Result<usize> {
        let mut chunk = [0; 4096];
        let count = match &mut self.layer {
            Layer::Plain(wire) => wire.read(&mut chunk)?,
            Layer::Tls(tls) => tls.read(&mut chunk)?,
            Layer::Gone => 0,
        };
        self.seen.lock().expect("a lock").said.extend_from_slice(&chunk[..count]);
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(count)
    }

    fn hear(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.read()? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn play(mut line: Line, script: Vec<Step>, config: Arc<rustls::ServerConfig>) -> std::io::Result<()> {
    for step in script {
        match step {
            Step::Say(bytes) => line.say(&bytes)?,
            Step::Hear(start) => {
                let heard = line.hear()?;
                if !heard.to_ascii_uppercase().starts_with(&start.to_ascii_uppercase()) {
                    return line.say(format!("NO \"the test expected {start}\"\r\n").as_bytes());
                }
            }
            Step::Answer(text) => {
                let heard = line.hear()?;
                let tag = heard.split(' ').next().unwrap_or_default();
                line.say(text.replace("$1", tag).as_bytes())?;
            }
            Step::Tls => {
                let Layer::Plain(wire) = std::mem::replace(&mut line.layer, Layer::Gone) else {
                    return Err(std::io::ErrorKind::InvalidInput.into());
                };
                let session = rustls::ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
                line.layer = Layer::Tls(Box::new(rustls::StreamOwned::new(session, wire)));
            }
            Step::Flood(bytes) => loop {
                line.say(&bytes)?;
            },
            Step::Silence => while line.read()? > 0 {},
        }
    }
    // What was said must reach the client before the line ends.
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}
