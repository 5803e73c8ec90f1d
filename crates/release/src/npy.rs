//! What does a small `.npy` file hold, and how is one written? (AffectNet's eight-label release.)
//!
//! Format: NumPy Enhancement Proposal 1, versions 1 to 3. Read: text, bytes, integers, floats, booleans of at
//! most [`MAX_ELEMENTS`]; pickled objects are refused, for reading them would run what they hold.

/// More elements than any label file has (68 points are 136 numbers).
pub const MAX_ELEMENTS: usize = 4096;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The elements of a file in its own order; the shape is of no interest here.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// `U` or `S`.
    Text(Vec<String>),
    /// Any number.
    Numbers(Vec<f64>),
}

/// Reads a file.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Array, String> {
    let (header, data) = split_header(bytes)?;
    let descr = quoted_value(header, "descr").ok_or("no data type in the header")?;
    let shape = shape(header)?;
    let fortran = header
        .split("'fortran_order'")
        .nth(1)
        .is_some_and(|rest| rest.trim_start_matches([':', ' ']).starts_with("True"));
    if fortran && shape.len() > 1 {
        return Err("columns first (fortran_order) is not understood".into());
    }
    let n_elements = shape.iter().try_fold(1usize, |n, &side| n.checked_mul(side)).filter(|&n| n <= MAX_ELEMENTS);
    let n_elements = n_elements.ok_or_else(|| format!("shape {shape:?} has more than {MAX_ELEMENTS} elements"))?;

    let mut chars = descr.chars();
    let big_endian = match chars.next() {
        Some('<' | '|' | '=') => false,
        Some('>') => true,
        _ => return Err(format!("data type `{}` is not understood", crate::names::printable(descr))),
    };
    let kind = chars.next().unwrap_or(' ');
    let unknown = || format!("data type `{}` is not understood", crate::names::printable(descr));
    let count: usize = chars.as_str().parse().map_err(|_| unknown())?;
    if count > 4096 {
        return Err(unknown());
    }
    let element_bytes = if kind == 'U' { count * 4 } else { count };
    if data.len() != n_elements * element_bytes {
        return Err(format!("{} bytes of data where {} were announced", data.len(), n_elements * element_bytes));
    }
    if element_bytes == 0 {
        return Ok(Array::Text(vec![String::new(); n_elements]));
    }
    let elements = data.chunks_exact(element_bytes);
    match kind {
        'U' => elements.map(|e| utf32(e, big_endian)).collect::<Result<_, _>>().map(Array::Text),
        'S' => elements.map(latin_text).collect::<Result<_, _>>().map(Array::Text),
        _ => elements
            .map(|e| number(kind, e, big_endian).ok_or_else(unknown))
            .collect::<Result<_, _>>()
            .map(Array::Numbers),
    }
}

/// A file with one text and no dimension, as AffectNet's `N_exp.npy`.
pub fn text(value: &str) -> Vec<u8> {
    let characters: Vec<u8> = value.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
    file(&format!("<U{}", characters.len() / 4), "()", &characters)
}

/// A file with a row of floats, as AffectNet's `N_lnd.npy`.
pub fn floats(values: &[f32]) -> Vec<u8> {
    let data: Vec<u8> = values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect();
    file("<f8", &format!("({},)", values.len()), &data)
}

fn file(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    // The format wants the data to begin at a multiple of 64, and a newline before it.
    while !(MAGIC.len() + 4 + header.len() + 1).is_multiple_of(64) {
        header.push(' ');
    }
    header.push('\n');
    let length = header.len() as u16;
    [MAGIC, &[1, 0], &length.to_le_bytes(), header.as_bytes(), data].concat()
}

fn split_header(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("not a .npy file")?;
    let short = "the header is cut off";
    let (header_bytes, rest) = match rest {
        [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
        [2 | 3, _, a, b, c, d, rest @ ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest),
        _ => return Err(short.into()),
    };
    let (header, data) = rest.split_at_checked(header_bytes).ok_or(short)?;
    Ok((std::str::from_utf8(header).map_err(|_| "the header is not text")?, data))
}

fn quoted_value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let rest = header.split_once(&format!("'{key}'"))?.1.trim_start_matches([':', ' ']);
    rest.strip_prefix('\'')?.split_once('\'').map(|(value, _)| value)
}

fn shape(header: &str) -> Result<Vec<usize>, String> {
    let inside = header
        .split_once("'shape'")
        .and_then(|(_, rest)| rest.split_once('('))
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(inside, _)| inside)
        .ok_or("no shape in the header")?;
    inside
        .split(',')
        .map(str::trim)
        .filter(|side| !side.is_empty())
        .map(|side| side.trim_end_matches('L').parse().map_err(|_| "the shape is not made of numbers".to_string()))
        .collect()
}

fn utf32(element: &[u8], big_endian: bool) -> Result<String, String> {
    let code = |c: &[u8]| {
        let raw = [c[0], c[1], c[2], c[3]];
        if big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) }
    };
    let text: Option<String> = element.chunks_exact(4).map(|c| char::from_u32(code(c))).collect();
    Ok(text.ok_or("text with an impossible character")?.trim_end_matches('\0').to_owned())
}

fn latin_text(element: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(element).map_err(|_| "text that is not UTF-8")?;
    Ok(text.trim_end_matches('\0').to_owned())
}

fn number(kind: char, element: &[u8], big_endian: bool) -> Option<f64> {
    let mut raw = [0u8; 8];
    let n_bytes = element.len();
    raw.get_mut(..n_bytes)?.copy_from_slice(element);
    if big_endian {
        raw[..n_bytes].reverse();
    }
    let word = u64::from_le_bytes(raw);
    match (kind, n_bytes) {
        ('f', 8) => Some(f64::from_bits(word)),
        ('f', 4) => Some(f64::from(f32::from_bits(word as u32))),
        ('i', 1) => Some(f64::from(word as u8 as i8)),
        ('i', 2) => Some(f64::from(word as u16 as i16)),
        ('i', 4) => Some(f64::from(word as u32 as i32)),
        ('i', 8) => Some(word as i64 as f64),
        ('u' | 'b', 1 | 2 | 4 | 8) => Some(word as f64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(parse(&text("-0.123")), Ok(Array::Text(vec!["-0.123".into()])));
        assert_eq!(parse(&floats(&[1.5, -2.0])), Ok(Array::Numbers(vec![1.5, -2.0])));
        assert_eq!(text("7").len() % 64, 4, "data begins at a multiple of 64");
    }

    #[test]
    fn every_kind_of_number_is_read() {
        for (descr, data) in [
            ("<i8", &7i64.to_le_bytes()[..]),
            (">i4", &7i32.to_be_bytes()),
            ("|u1", &[7]),
            ("<f4", &7f32.to_le_bytes()),
            (">f8", &7f64.to_be_bytes()),
        ] {
            assert_eq!(parse(&file(descr, "()", data)), Ok(Array::Numbers(vec![7.0])), "{descr}");
        }
        assert!(parse(&file("|O", "()", b"pickle")).is_err_and(|e| e.contains("|O")));
        assert!(parse(&file("<f8", "(99999999, 99999999)", b"")).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        arbtest::arbtest(|u| {
            let mut bytes = [text("3"), floats(&[0.5; 4])][u.int_in_range(0..=1usize)?].clone();
            for _ in 0..u.int_in_range(1..=8usize)? {
                let at = u.int_in_range(0..=bytes.len() - 1)?;
                bytes[at] = u.arbitrary()?;
            }
            bytes.truncate(u.int_in_range(0..=bytes.len())?);
            let _ = parse(&bytes);
            Ok(())
        })
        .budget_ms(200);
    }
}
