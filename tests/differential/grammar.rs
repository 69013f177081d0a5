//! Requests by a grammar: valid ones by RFC 9112, and in every place also nearly valid ones.

use fastrand::Rng;
use hello_server::http::{MAX_BODY, MAX_CHUNK_OVERHEAD, MAX_FIELDS, MAX_HEAD, MAX_METHOD, MAX_TARGET};

/// The choices for one place of a request.
type Choices = &'static [&'static [u8]];

/// One to three requests, one behind the other; sometimes up to 40.
pub(crate) fn requests(rng: &mut Rng) -> Vec<u8> {
    // Some requests have no mistake at all, so that both sides show where they end; others have a mistake in many places.
    let mistakes = [0, 0, 1, 2, 5][rng.usize(..5)];
    let mut writer = Writer { rng, mistakes, out: Vec::new() };
    // Now and then there is a pipeline as long as that of a busy client.
    let longest = if writer.rng.u8(..) == 0 { 40 } else { 3 };
    for _ in 0..writer.rng.u32(1..=longest) {
        writer.request();
    }
    writer.out
}

/// The number of requests [at a limit](at_a_limit).
pub(crate) const LIMITS: usize = 18;

/// A request that reaches a limit, or exceeds it by one, with another request behind it.
pub(crate) fn at_a_limit(which: usize) -> Vec<u8> {
    const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";
    const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\n";
    const CHUNKED: &[u8] = b"Transfer-Encoding: chunked\r\n\r\n";
    let beyond = which % 2;
    let many = |part: &[u8], times: usize| part.repeat(times + beyond);
    let body = MAX_BODY as usize;
    let mut bytes = match which / 2 {
        0 => [&many(b"M", MAX_METHOD), &b" / HTTP/1.1\r\nHost: a\r\n\r\n"[..]].concat(),
        1 => [b"GET /", &many(b"a", MAX_TARGET - 1)[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(),
        2 => [GET, b"X: ", &many(b"v", MAX_HEAD - GET.len() - 7), b"\r\n\r\n"].concat(),
        3 => [GET, &many(b"X: y\r\n", MAX_FIELDS - 1), b"\r\n"].concat(),
        4 => [POST, format!("Content-Length: {}\r\n\r\n", body + beyond).as_bytes(), &many(b"b", body)].concat(),
        5 => {
            [POST, CHUNKED, format!("{:x}\r\n", body + beyond).as_bytes(), &many(b"b", body), b"\r\n0\r\n\r\n"].concat()
        }
        6 => [POST, CHUNKED, b"1;", &many(b"e", MAX_CHUNK_OVERHEAD - 1), b"\r\nb\r\n0\r\n\r\n"].concat(),
        // The first 16 digits of a size do not count as overhead.
        7 => [POST, CHUNKED, &many(b"0", MAX_CHUNK_OVERHEAD + 15), b"1\r\nb\r\n0\r\n\r\n"].concat(),
        // The name and the colon come before the value, and the carriage return behind it.
        _ => [POST, CHUNKED, b"0\r\nX:", &many(b"t", MAX_CHUNK_OVERHEAD - 3), b"\r\n\r\n"].concat(),
    };
    bytes.extend_from_slice(GET);
    bytes.extend_from_slice(b"\r\n");
    bytes
}

struct Writer<'r> {
    rng: &'r mut Rng,
    /// The percentage of places with a mistake.
    mistakes: u32,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn one_of(&mut self, choices: Choices) -> &'static [u8] {
        choices[self.rng.usize(..choices.len())]
    }

    fn errs(&mut self) -> bool {
        self.rng.u32(..100) < self.mistakes
    }

    fn often(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    /// A right choice for this place, or now and then a wrong one.
    fn choose(&mut self, right: Choices, wrong: Choices) -> &'static [u8] {
        let choices = if self.errs() { wrong } else { right };
        self.one_of(choices)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    fn line_end(&mut self) {
        let end = self.choose(&[b"\r\n"], &[b"\n", b"\n", b"\r", b"\r\r\n", b"\n\r", b"", b" \r\n"]);
        self.put(end);
    }

    fn request(&mut self) {
        let before = self.choose(&[b""], &[b"\r\n", b"\n", b"\r\n\r\n", b"\n\r\n", b"\r", b" "]);
        self.put(before);
        let method = self.choose(
            &[
                b"GET",
                b"GET",
                b"POST",
                b"POST",
                b"PUT",
                b"HEAD",
                b"DELETE",
                b"OPTIONS",
                b"PATCH",
                b"get",
                b"!#$%&'*+-.^_`|~9",
            ],
            &[
                b"CONNECT",
                b"TRACE",
                b"PRI",
                b"",
                b"G(T",
                b"G\x00T",
                b"GE T",
                b"MMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMMM",
                b"\x16\x03\x01",
            ],
        );
        self.put(method);
        self.blank();
        let target = match method {
            b"OPTIONS" if self.often(30) => &b"*"[..],
            b"CONNECT" if self.often(50) => b"a:443",
            _ => self.target(),
        };
        self.put(target);
        self.blank();
        let version = self.choose(
            &[b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"],
            &[
                b"HTTP/1.2",
                b"HTTP/1.9",
                b"HTTP/2.0",
                b"HTTP/0.9",
                b"http/1.1",
                b"HTTP/1",
                b"HTTP/11",
                b"HTTP/1.10",
                b"HTTP/1.a",
                b"HTTPS/1.1",
                b"",
            ],
        );
        self.put(version);
        self.line_end();
        self.fields_and_body(version);
    }

    fn blank(&mut self) {
        let blank = self.choose(&[b" "], &[b"  ", b"\t", b"", b" \t"]);
        self.put(blank);
    }

    fn target(&mut self) -> &'static [u8] {
        self.choose(
            &[
                b"/",
                b"/",
                b"/romeo.txt?act=2",
                b"/a/b;c=d?e=f&g=/h?i",
                b"/%C3%A9%20%00",
                b"/100%",
                b"//a/..",
                b"http://a",
                b"http://127.0.0.1/romeo.txt",
                b"HTTP://A/b?c",
                b"http://[::1]:8080/b",
                b"http://a?b/c",
                b"http://a:00065535",
            ],
            &[
                b"*",
                b"romeo.txt",
                b"/caf\xc3\xa9",
                b"/\xff",
                b"/\x00",
                b"/\x7f",
                b"/#act-2",
                b"http://a/#b",
                b"https://a/",
                b"ftp://u:p@b/c",
                b"urn:isbn:1",
                b"http://u@a/",
                b"http://:80/",
                b"http://a:65536/",
                b"http:/a",
                b"http://a:b/",
                b"http:///",
                b"localhost:9000",
                b"/[]{}|\\^`<>\"",
                b"/a b",
                b"?x",
                b"a",
                b"HTTP/1.1",
                b"",
                b"://a",
                b"http://a\\b",
            ],
        )
    }

    fn fields_and_body(&mut self, version: &[u8]) {
        let mut lines: Vec<Vec<u8>> = Vec::new();
        if (version != b"HTTP/1.0" || self.often(50)) && !self.errs() {
            let host = self.host();
            lines.push(host);
            if self.errs() {
                let host = self.host();
                lines.push(host);
            }
        }
        let content = self.content();
        let (by_length, by_chunks) = match self.rng.u32(..10) {
            0..=3 => (false, false),
            4..=6 => (true, false),
            _ => (false, true),
        };
        // RFC 9112 section 6.1: request smuggling sends both at once.
        let by_chunks = by_chunks && version != b"HTTP/1.0";
        let (by_length, by_chunks) = (by_length || self.errs(), by_chunks || self.errs());
        if by_length {
            let value = self.length(content.len());
            lines.push(self.field(b"Content-Length", &value));
            if self.errs() {
                let value = self.length(content.len());
                lines.push(self.field(b"Content-Length", &value));
            }
        }
        if by_chunks {
            let value = self.codings();
            lines.push(self.field(b"Transfer-Encoding", value));
            if self.errs() {
                let value = self.codings();
                lines.push(self.field(b"Transfer-Encoding", value));
            }
        }
        if self.often(15) {
            let value = self.choose(
                &[
                    b"close",
                    b"keep-alive",
                    b"keep-alive",
                    b"Close",
                    b"x, Close ,y",
                    b"keep-alive, close",
                    b"",
                    b"Upgrade",
                ],
                &[b"close, \xff", b"\xe9,keep-alive", b"\"close\"", b"close;", b"keep-alive close"],
            );
            lines.push(self.field(b"Connection", value));
        }
        if self.often(5) {
            lines.push(self.field(b"Connection", b"keep-alive"));
        }
        if self.often(5) {
            let value = self.choose(
                &[b"100-continue", b"100-Continue", b"", b"100-continue, 100-continue"],
                &[b"200-ok", b"100-continue, x", b"100-continue;q=1", b"100\xff"],
            );
            lines.push(self.field(b"Expect", value));
        }
        if self.often(3) {
            lines.push(self.field(b"Upgrade", b"h2c"));
        }
        for _ in 0..self.rng.u32(..3) {
            let line = self.choose(
                &[
                    b"Accept: */*",
                    b"X:",
                    b"X: y",
                    b"X-Long: a b\tc",
                    b"X: \xc3\xa9\x80\xff",
                    b"Cookie: a=b; c=d",
                    b"TE: trailers",
                ],
                &[
                    b"X",
                    b": y",
                    b"X : y",
                    b"X\t: y",
                    b"X: a\rb",
                    b"X: a\x00b",
                    b"X: a\x7fb",
                    b" folded",
                    b"X: y\r\n z",
                    b"X: y\r\n\tz",
                    b"X: y\n z",
                    b"X y: z",
                    b"\x00: y",
                    b"\xff: y",
                    b"",
                    b"\r",
                ],
            );
            lines.push(line.to_vec());
        }
        self.rng.shuffle(&mut lines);
        for line in lines {
            self.put(&line);
            self.line_end();
        }
        self.line_end();
        match (by_chunks, by_length) {
            (true, _) => self.chunks(&content),
            (false, true) => self.put(&content),
            // The request has a body without a length.
            (false, false) if self.errs() => self.put(&content),
            (false, false) => {}
        }
    }

    /// A field line with this name, in some letter case, and this value.
    fn field(&mut self, name: &[u8], value: &[u8]) -> Vec<u8> {
        let name = match self.rng.u32(..4) {
            0 => name.to_ascii_lowercase(),
            1 => name.to_ascii_uppercase(),
            _ => name.to_vec(),
        };
        let name = match self.errs() {
            true => match self.rng.u32(..5) {
                0 => [&name, &b" "[..]].concat(),
                1 => [b" ", &name[..]].concat(),
                2 => [b"X-", &name[..]].concat(),
                3 => [&name, &b"\x00"[..]].concat(),
                _ => name.iter().map(|&byte| if byte == b'-' { b'_' } else { byte }).collect(),
            },
            false => name,
        };
        let colon = self.choose(&[b": ", b": ", b":", b":\t "], &[b"", b" ", b":\x0b", b":\r\n ", b":\n", b"::"]);
        let behind = self.choose(&[b"", b"", b"", b" \t"], &[b"\x00", b"\r", b",", b";", b"\xa0"]);
        [&name, colon, value, behind].concat()
    }

    fn host(&mut self) -> Vec<u8> {
        let value = self.choose(
            &[
                b"a",
                b"a",
                b"localhost:9000",
                b"127.0.0.1",
                b"[::1]",
                b"[::ffff:127.0.0.1]:80",
                b"",
                b"a:",
                b"a:00065535",
                b"a%20b",
            ],
            &[
                b":80",
                b":",
                b"a:65536",
                b"[::1]:99999",
                b"a b",
                b"u@a",
                b"a/",
                b"http://a",
                b"a:http",
                b"::1",
                b"[::1%25lo]",
                b"a%2",
                b"\xff",
                b"a, b",
                b"a#b",
            ],
        );
        self.field(b"Host", value)
    }

    /// The value of a `Content-Length` for this number of bytes.
    fn length(&mut self, bytes: usize) -> Vec<u8> {
        let text = match self.errs() {
            false => match self.rng.u32(..8) {
                0 => format!("0{bytes}"),
                1 => format!("{bytes:018}"),
                _ => bytes.to_string(),
            },
            true => match self.rng.u32(..21) {
                0 => format!("+{bytes}"),
                1 => format!("-{bytes}"),
                2 => format!("{bytes:#x}"),
                3 => format!("{bytes},{bytes}"),
                4 => format!("{bytes} , 0{bytes}"),
                5 => format!("{bytes}, {}", bytes + 1),
                6 => format!("{bytes} {bytes}"),
                7 => format!("{bytes},"),
                8 => format!("{bytes}.0"),
                9 => format!("{bytes};"),
                10 => format!("\x0b{bytes}"),
                11 => format!("{bytes}\0"),
                12 => format!("\"{bytes}\""),
                13 => format!("{bytes}_0"),
                14 => (bytes + 1).to_string(),
                15 => bytes.saturating_sub(1).to_string(),
                16 => "18446744073709551616".to_owned(),
                17 => "18446744073709551615".to_owned(),
                18 => (MAX_BODY + 1).to_string(),
                // A parser that overflows 64 bits gets the right number.
                19 => ((1 << 64) + bytes as u128).to_string(),
                _ => String::new(),
            },
        };
        text.into_bytes()
    }

    /// The value of a `Transfer-Encoding`.
    fn codings(&mut self) -> &'static [u8] {
        self.choose(
            &[b"chunked", b"chunked", b"chunked", b"Chunked", b"CHUNKED", b", chunked"],
            &[
                b"chunked,",
                b"chunked , ,",
                b"gzip, chunked",
                b"identity, chunked",
                b"gzip",
                b"chunked, gzip",
                b"identity",
                b"chunked, chunked",
                b"xchunked",
                b"chunkedx",
                b"chunked;q=1",
                b"",
                b",",
                b"\x0bchunked",
                b"chunked\x00",
                b"\"chunked\"",
                b"chu nked",
                b"chunked\xff",
                b"chunke\xc4\x8f",
            ],
        )
    }

    /// Some bytes of content, which may look like something else.
    fn content(&mut self) -> Vec<u8> {
        match self.rng.u32(..8) {
            0 => Vec::new(),
            1 => b"0\r\n\r\n".to_vec(),
            2 => b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            3 => b"\r\n5\r\nhello\r\n0\r\n\r\n".to_vec(),
            4 => (0..self.rng.usize(..24)).map(|_| self.rng.u8(..)).collect(),
            // The content is longer than one read.
            5 if self.often(8) => vec![b'b'; self.rng.usize(2_000..6_000)],
            _ => (0..self.rng.usize(..24)).map(|_| self.rng.alphanumeric() as u8).collect(),
        }
    }

    /// `content` in chunks.
    fn chunks(&mut self, mut content: &[u8]) {
        while !content.is_empty() {
            let (chunk, rest) = content.split_at(self.rng.usize(1..=content.len()));
            self.chunk_size(chunk.len());
            self.chunk_line_end();
            self.put(chunk);
            self.chunk_line_end();
            content = rest;
        }
        self.chunk_size(0);
        self.chunk_line_end();
        while self.often(12) {
            let trailer = self.choose(
                &[b"X: y", b"Content-Length: 99", b"Transfer-Encoding: x", b"X:", b"Host: b", b"X: \xff"],
                &[
                    b"X",
                    b"X : y",
                    b" z",
                    b"X: y\nY: z",
                    b"X: y\n",
                    b"\n",
                    b"\nX: y",
                    b"X: \x00",
                    b": y",
                    b"X: a\rb",
                    b"X: y\n\r\nZ",
                ],
            );
            self.put(trailer);
            self.chunk_line_end();
        }
        self.chunk_line_end();
    }

    fn chunk_line_end(&mut self) {
        let end = self.choose(&[b"\r\n"], &[b"\n", b"\r", b"", b"\r\r\n", b"\n\r", b"\r\n\r\n"]);
        self.put(end);
    }

    fn chunk_size(&mut self, size: usize) {
        let text = match self.errs() {
            false => match self.rng.u32(..8) {
                0 => format!("{size:X}"),
                1 => format!("{size:04x}"),
                2 => format!("{size:016x}"),
                3 => format!("{size:023x}"),
                _ => format!("{size:x}"),
            },
            true => match self.rng.u32(..13) {
                0 => format!("{:017x}", 1u128 << 64 | size as u128),
                1 => format!("{size:#x}"),
                2 => format!("+{size:x}"),
                3 => format!("-{size:x}"),
                4 => format!(" {size:x}"),
                5 => format!("{size:x} "),
                6 => format!("{size:x}\t "),
                7 => format!("{:x}", size + 1),
                8 => format!("{:x}", size.saturating_sub(1)),
                9 => format!("{size:x}_0"),
                10 => "ffffffffffffffff".to_owned(),
                11 => format!("1{size:016x}"),
                _ => String::new(),
            },
        };
        self.put(text.as_bytes());
        if self.often(10) {
            let extension = self.choose(
                &[b";a", b";a=b", b"; a = b ;c", b" ;a", b";a=\"b;c\\\"d\"", b";\xff", b";"],
                &[b";a\x00", b";a\x7f", b";a\nb", b";a\rb", b";a=\"\r\n\"", b"a", b" a", b";a\x0b", b";a\r\n\r\n"],
            );
            self.put(extension);
        }
    }
}
