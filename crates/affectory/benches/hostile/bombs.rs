//! What is small on the wire and large once somebody unpacks it.

/// Zeros, as a deflate stream a thousandth as long (RFC 1951): a zero, then ever again "258 bytes as the one before".
fn deflated_zeros(n: usize) -> Vec<u8> {
    let (mut bytes, mut pending, mut n_pending) = (Vec::new(), 0u32, 0);
    let mut push = |bits: u32, length: u32| {
        pending |= bits << n_pending;
        n_pending += length;
        while n_pending >= 8 {
            bytes.push(pending as u8);
            (pending, n_pending) = (pending >> 8, n_pending - 8);
        }
    };
    // The last block, with the fixed Huffman codes; codes are sent from their highest bit on.
    push(0b011, 3);
    let repeats = n.saturating_sub(1) / 258;
    for _ in 0..n - repeats * 258 {
        push(0b0000_1100, 8); // the literal 0: 00110000
    }
    for _ in 0..repeats {
        push(0b1010_0011, 8); // length 258: 11000101
        push(0, 5); // distance 1: 00000
    }
    push(0, 7); // the end: 0000000
    push(0, 7); // up to a whole byte
    bytes
}

/// CRC-32 as PNG, gzip and zip have it.
fn crc32(parts: &[&[u8]]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|n| (0..8).fold(n, |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 }))
        .collect();
    let step = |crc: u32, byte: &u8| table[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    !parts.iter().copied().flatten().fold(!0, step)
}

/// A grey picture of 20000x20000, all black: 400 MB of pixels, RGB three times that.
pub fn huge_png() -> Vec<u8> {
    const SIDE: u32 = 20_000;
    let n = SIDE as usize * (SIDE as usize + 1); // each row begins with its filter's number, 0
    let adler = ((n as u64 % 65_521) as u32) << 16 | 1;
    let pixels = [&[0x78, 0x01][..], &deflated_zeros(n), &adler.to_be_bytes()].concat();
    let header = [&SIDE.to_be_bytes()[..], &SIDE.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let chunk = |kind: &[u8], data: &[u8]| {
        [&(data.len() as u32).to_be_bytes()[..], kind, data, &crc32(&[kind, data]).to_be_bytes()].concat()
    };
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &chunk(b"IDAT", &pixels), &chunk(b"IEND", &[])].concat()
}

/// How much the archives unpack to.
const UNPACKED: usize = 64 << 20;

/// 64 MB of zeros for whoever believes `Content-Encoding: gzip`.
pub fn gzip() -> Vec<u8> {
    let crc = crc32(&[&vec![0; UNPACKED]]);
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [&head[..], &deflated_zeros(UNPACKED), &crc.to_le_bytes(), &(UNPACKED as u32).to_le_bytes()].concat()
}

/// The same as an archive with one file.
pub fn zip() -> Vec<u8> {
    let (data, name) = (deflated_zeros(UNPACKED), b"1.jpg");
    let sizes = [crc32(&[&vec![0; UNPACKED]]), data.len() as u32, UNPACKED as u32].map(u32::to_le_bytes).concat();
    // Version 2.0, no flags, deflate, no time; then what both places say of the file, and its name's length.
    let entry = [&[20, 0, 0, 0, 8, 0, 0, 0, 0x21, 0][..], &sizes, &[5, 0, 0, 0]].concat();
    let local = [b"PK\x03\x04", &entry[..], name, &data].concat();
    let central = [b"PK\x01\x02\x14\x00", &entry[..], &[0; 14], name].concat();
    let places = [central.len() as u32, local.len() as u32].map(u32::to_le_bytes).concat();
    let end = [b"PK\x05\x06", &[0, 0, 0, 0, 1, 0, 1, 0][..], &places, &[0, 0]].concat();
    [local, central, end].concat()
}

/// A JPEG that says it is 65,520 pixels wide and high.
pub fn liar(jpeg: &[u8]) -> Vec<u8> {
    let mut bytes = jpeg.to_vec();
    // The frame header: marker, length, precision, then height and width.
    if let Some(at) = bytes.windows(2).position(|pair| pair == [0xff, 0xc0]) {
        bytes[at + 5..at + 9].copy_from_slice(&[0xff, 0xf0, 0xff, 0xf0]);
    }
    bytes
}
