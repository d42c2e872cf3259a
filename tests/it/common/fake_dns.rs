//! A name server on loopback that knows what a test tells it (RFC 1035 section 4).

use std::net::{SocketAddr, UdpSocket};

const SRV: u16 = 33;
const TXT: u16 = 16;
const MX: u16 = 15;

/// What the server knows of one name.
pub(crate) enum Known {
    /// Priority, port and target.
    Srv(u16, u16, &'static str),
    Txt(&'static str),
    /// Preference and host.
    Mx(u16, &'static str),
}

/// Starts a server with these records; gives its address. It answers as long as the test program runs.
pub(crate) fn start(records: Vec<(&'static str, Known)>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut question = [0; 1024];
        while let Ok((count, client)) = socket.recv_from(&mut question) {
            let _ = socket.send_to(&answer(&question[..count], &records), client);
        }
    });
    address
}

fn answer(question: &[u8], records: &[(&str, Known)]) -> Vec<u8> {
    let (mut at, mut name) = (12, Vec::new());
    while question[at] != 0 {
        let end = at + 1 + usize::from(question[at]);
        name.push(String::from_utf8_lossy(&question[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([question[at + 1], question[at + 2]]);
    let name = name.join(".");
    let datas = records.iter().filter(|(of, _)| *of == name).filter_map(|(_, known)| match known {
        Known::Srv(priority, port, target) if kind == SRV => {
            let data = [*priority, 0, *port].into_iter().flat_map(u16::to_be_bytes);
            Some(data.chain(name_of(target)).collect::<Vec<u8>>())
        }
        Known::Mx(preference, host) if kind == MX => Some([&preference.to_be_bytes()[..], &name_of(host)].concat()),
        Known::Txt(text) if kind == TXT => Some([&[text.len() as u8], text.as_bytes()].concat()),
        _ => None,
    });
    let datas: Vec<Vec<u8>> = datas.collect();
    // An answer (0x8180); where there is no such name, 3.
    let code = if records.iter().any(|(of, _)| *of == name) { 0x80 } else { 0x83 };
    let mut answer = [&question[..2], &[0x81, code, 0, 1, 0, datas.len() as u8, 0, 0, 0, 0]].concat();
    answer.extend(&question[12..at + 5]);
    for data in datas {
        answer.extend([0xC0, 12]);
        answer.extend(kind.to_be_bytes());
        answer.extend([0, 1, 0, 0, 0, 60]);
        answer.extend((data.len() as u16).to_be_bytes());
        answer.extend(data);
    }
    answer
}

/// A name on the wire (RFC 1035 section 3.1).
fn name_of(name: &str) -> Vec<u8> {
    let parts = name.split('.').filter(|part| !part.is_empty());
    let mut bytes: Vec<u8> = parts.flat_map(|part| std::iter::once(part.len() as u8).chain(part.bytes())).collect();
    bytes.push(0);
    bytes
}
