//! Undoing `content-encoding` for steps that read the body. A body nobody reads is never decompressed.

use crate::fault::{Fault, FaultCode};
use bytes::Bytes;
use http::HeaderValue;
use std::io::Read;

/// Decompresses `bytes` by the codings of a `content-encoding` header, last coding first (RFC 9110 section 8.4).
///
/// # Errors
/// `client.unsupported_media_type` for an unknown coding, `client.malformed_body` for corrupt data, `client.body_too_large` past
/// `limit_bytes` of output, however small the input.
pub fn decode(bytes: &Bytes, encoding: &HeaderValue, limit_bytes: u64) -> Result<Bytes, Fault> {
    let codings = encoding.to_str().unwrap_or("?");
    let mut plain = bytes.clone();
    for coding in codings
        .rsplit(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty())
        .take(3)
    {
        plain = decode_one(&plain, &coding.to_ascii_lowercase(), limit_bytes)?;
    }
    Ok(plain)
}

fn decode_one(bytes: &Bytes, coding: &str, limit_bytes: u64) -> Result<Bytes, Fault> {
    match coding {
        "identity" => Ok(bytes.clone()),
        "gzip" | "x-gzip" => read(flate2::read::MultiGzDecoder::new(&bytes[..]), limit_bytes),
        "deflate" => read(flate2::read::ZlibDecoder::new(&bytes[..]), limit_bytes),
        "br" => read(brotli::Decompressor::new(&bytes[..], 4096), limit_bytes),
        "zstd" => match zstd::stream::read::Decoder::new(&bytes[..]) {
            Ok(decoder) => read(decoder, limit_bytes),
            Err(error) => Err(corrupt(error)),
        },
        _ => Err(Fault::new(
            FaultCode::UnsupportedMediaType,
            "The content encoding is not supported.",
        )
        .with_detail(format!("content-encoding `{coding}`"))),
    }
}

fn read(decoder: impl Read, limit_bytes: u64) -> Result<Bytes, Fault> {
    let mut plain = Vec::new();
    decoder
        .take(limit_bytes + 1)
        .read_to_end(&mut plain)
        .map_err(corrupt)?;
    if plain.len() as u64 > limit_bytes {
        let message = format!("The body exceeds {limit_bytes} bytes once decompressed.");
        return Err(Fault::new(FaultCode::BodyTooLarge, message));
    }
    Ok(plain.into())
}

fn corrupt(error: std::io::Error) -> Fault {
    Fault::new(FaultCode::MalformedBody, "The compressed body is corrupt.").with_source(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn every_coding_gives_the_plain_bytes_back() {
        let data = b"hello hello hello";
        let mut br = Vec::new();
        brotli::CompressorWriter::new(&mut br, 4096, 5, 22)
            .write_all(data)
            .unwrap();
        let zstd: Bytes = zstd::encode_all(&data[..], 3).unwrap().into();
        for (coding, bytes) in [("gzip", gzip(data)), ("br", br.into()), ("zstd", zstd.clone())] {
            let plain = decode(&bytes, &HeaderValue::from_static(coding), 100).unwrap();
            assert_eq!(plain, &data[..], "{coding}");
        }
        let twice = decode(&gzip(&zstd), &HeaderValue::from_static("zstd, gzip"), 100).unwrap();
        assert_eq!(twice, &data[..]);
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = gzip(&vec![0; 1 << 20]);
        let fault = decode(&bomb, &HeaderValue::from_static("gzip"), 1000).unwrap_err();
        assert_eq!(fault.code(), FaultCode::BodyTooLarge);
        let corrupt = decode(
            &Bytes::from_static(b"nonsense"),
            &HeaderValue::from_static("gzip"),
            9,
        )
        .unwrap_err();
        assert_eq!(corrupt.code(), FaultCode::MalformedBody);
        let unknown = decode(&bomb, &HeaderValue::from_static("lzw"), 9).unwrap_err();
        assert_eq!(unknown.code(), FaultCode::UnsupportedMediaType);
    }
}
