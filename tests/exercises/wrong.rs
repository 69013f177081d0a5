//! Wrong solutions of the exercises, as learners may write them: each is the published solution with a change.

/// A wrong solution.
pub(crate) struct Wrong {
    /// The number of the exercise.
    pub(crate) exercise: usize,
    /// What is wrong, in words.
    pub(crate) what: &'static str,
    /// Texts of the published solution, and what stands there instead. `BODY` is the whole body of `answer`.
    pub(crate) changes: &'static [(&'static str, &'static str)],
    /// A part of the hint that fits.
    pub(crate) hint: &'static str,
}

/// Stands for the whole body of `answer`.
pub(crate) const BODY: &str = "{...}";

const fn wrong(
    exercise: usize,
    what: &'static str,
    changes: &'static [(&'static str, &'static str)],
    hint: &'static str,
) -> Wrong {
    Wrong { exercise, what, changes, hint }
}

pub(crate) const WRONG: &[Wrong] = &[
    // 1. Another text.
    wrong(1, "small letters", &[("Good morning", "good morning")], "not their case"),
    wrong(1, "two capital letters", &[("Good morning", "Good Morning")], "not their case"),
    wrong(1, "a letter too few", &[("Good morning", "Good mornng")], "letter by letter"),
    wrong(1, "plain text", &[("Response::html", "Response::text")], "`Response::html` sends a page"),
    wrong(
        1,
        "a paragraph, no heading",
        &[("<h1>Good morning</h1>", "<p>Good morning</p>")],
        "A heading begins with `<h1>`",
    ),
    wrong(
        1,
        "a smaller heading",
        &[("<h1>Good morning</h1>", "<h2>Good morning</h2>")],
        "A heading begins with `<h1>`",
    ),
    wrong(1, "the heading does not end", &[("</h1>", "<h1>")], "with a slash"),
    wrong(
        1,
        "the words in the title",
        &[("<h1>Good morning</h1>", "<title>Good morning</title><h1>Hi</h1>")],
        "title of the tab",
    ),
    wrong(
        1,
        "the words behind the heading",
        &[("<h1>Good morning</h1>", "<h1></h1>Good morning")],
        "between `<h1>` and `</h1>`",
    ),
    wrong(1, "the words in a comment", &[("<h1>Good morning</h1>", "<!-- <h1>Good morning</h1> -->")], "in a comment"),
    wrong(1, "another status", &[("200", "404")], "The status of a page that is there is 200"),
    wrong(
        1,
        "no page",
        &[("Response::html(200, \"<h1>Good morning</h1>\\n\")", "Response::empty(200)")],
        "There is no page",
    ),
    wrong(
        1,
        "only the front page",
        &[
            ("_request", "request"),
            (
                "    Response::html",
                "    if request.path() != \"/\" { return Response::html(404, \"no\"); }\n    Response::html",
            ),
        ],
        "need not look at the path",
    ),
    wrong(1, "the old text, too", &[("</h1>", "</h1> Hello World")], "Take out the old text"),
    // 2. The time.
    wrong(
        2,
        "the same time for ever",
        &[(
            "let now = httpdate::fmt_http_date(SystemTime::now());",
            "static START: std::sync::LazyLock<SystemTime> = std::sync::LazyLock::new(SystemTime::now);\n    \
             let now = httpdate::fmt_http_date(*START);",
        )],
        "so that each request asks anew",
    ),
    wrong(
        2,
        "a time that was typed in",
        &[("httpdate::fmt_http_date(SystemTime::now())", "\"Mon, 23 Nov 2020 20:31:47 GMT\"")],
        "Was it typed into the source?",
    ),
    wrong(2, "1970", &[("SystemTime::now()", "SystemTime::UNIX_EPOCH")], "beginning of 1970"),
    wrong(
        2,
        "the zone of Berlin",
        &[("SystemTime::now()", "SystemTime::now() + std::time::Duration::from_secs(3600)")],
        "whole hours",
    ),
    wrong(
        2,
        "seconds",
        &[(
            "httpdate::fmt_http_date(SystemTime::now())",
            "SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()",
        )],
        "seconds since 1970",
    ),
    wrong(
        2,
        "as Rust shows it",
        &[("httpdate::fmt_http_date(SystemTime::now())", "format!(\"{:?}\", SystemTime::now())")],
        "shows how Rust keeps the time",
    ),
    wrong(
        2,
        "a stop watch",
        &[("httpdate::fmt_http_date(SystemTime::now())", "format!(\"{:?}\", std::time::Instant::now())")],
        "knows no date",
    ),
    wrong(
        2,
        "in the header",
        &[(
            "Response::text(200, format!(\"It is {now}.\\n\"))",
            "Response::text(200, \"See above\").with_field(\"X-Time\", now)",
        )],
        "It belongs into the page",
    ),
    wrong(2, "another status", &[("200", "201")], "The status of a page that is there is 200"),
    wrong(2, "the value left out", &[("{now}", "now")], "has no time in the form"),
    wrong(2, "without the day", &[("{now}", "{}"), (".\\n\"", "\", &now[17..]")], "has no time in the form"),
    wrong(
        2,
        "only the front page",
        &[
            ("_request", "request"),
            ("    let now", "    if request.path() != \"/\" { return Response::html(404, \"no\"); }\n    let now"),
        ],
        "need not look at the path",
    ),
    // 3. A page for each path.
    wrong(3, "no escape", &[("escape_html(name)", "name")], "escape_html(&text)"),
    wrong(
        3,
        "the path as it was sent",
        &[("request.decoded_path()", "request.path()"), ("escape_html(&path)", "escape_html(path)")],
        "`request.decoded_path()` is the path as people read it",
    ),
    wrong(3, "an empty name", &[("Some(name) if !name.is_empty()", "Some(name)")], "there is no page for it"),
    wrong(
        3,
        "404 in words only",
        &[("404", "200"), ("There is no", "404: there is no")],
        "programs look at the status",
    ),
    wrong(3, "404 as 400", &[("404", "400")], "the status is 404"),
    wrong(
        3,
        "only Ada",
        &[("Some(name) if !name.is_empty()", "Some(name) if name == \"Ada\"")],
        "do not compare the path with `/hello/Ada`",
    ),
    wrong(3, "always Ada", &[("escape_html(name)", "\"Ada\"")], "not always Ada"),
    wrong(
        3,
        "the slash is left",
        &[("strip_prefix(\"/hello/\")", "strip_prefix(\"/hello\")")],
        "only the part behind `/hello/`",
    ),
    wrong(3, "no comma", &[("Hello, {}!", "Hello {}!")], "not the whole greeting"),
    wrong(
        3,
        "plain text",
        &[("Response::html(200, \"<h1>Welcome", "Response::text(200, \"<h1>Welcome")],
        "`Response::html` sends a page",
    ),
    wrong(3, "a small welcome", &[("Welcome", "welcome")], "with one capital letter"),
    wrong(
        3,
        "welcome for each path",
        &[("if path == \"/\"", "if path.starts_with('/')")],
        "Every path gets the welcome",
    ),
    wrong(
        3,
        "the option as it is",
        &[(
            "Some(name) if !name.is_empty() => Response::html(200, format!(\"<p>Hello, {}!</p>\\n\", escape_html(name)))",
            "name @ Some(_) => Response::html(200, format!(\"<p>Hello, {name:?}!</p>\\n\"))",
        )],
        "take the value out",
    ),
    wrong(
        3,
        "escaped before it was decoded",
        &[
            (
                "let path = request.decoded_path();",
                "let path = escape_html(request.path());\n    let path = percent_encoding::percent_decode_str(&path).decode_utf8_lossy();",
            ),
            ("escape_html(name)", "name"),
            ("escape_html(&path)", "path"),
        ],
        "First decode, then escape",
    ),
    wrong(3, "escaped twice", &[("escape_html(name)", "escape_html(&escape_html(name))")], "escaped twice"),
    wrong(3, "marks removed", &[("escape_html(name)", "name.replace(['<', '>'], \"\")")], "Do not remove"),
    wrong(
        3,
        "no page with 404",
        &[(
            "Response::html(404, format!(\"<p>There is no {} here.</p>\\n\", escape_html(&path)))",
            "Response::empty(404)",
        )],
        "no page for people",
    ),
    wrong(
        3,
        "unwrap",
        &[("match path.strip_prefix(\"/hello/\") {", "match Some(path.strip_prefix(\"/hello/\").unwrap()) {")],
        "Often it is an `unwrap()`",
    ),
    // 4. A redirect.
    wrong(4, "status 200", &[("Response::empty(302)", "Response::empty(200)")], "only if the status is a redirect"),
    wrong(4, "for ever", &[("302", "301")], "This status is for ever"),
    wrong(4, "the status for forms", &[("302", "303")], "Here the exercise asks for 302"),
    wrong(4, "no Location", &[(".with_field(\"Location\", \"/welcome\")", "")], "Now say where to"),
    wrong(4, "another header", &[("\"Location\"", "\"Redirect\"")], "The header has another name"),
    wrong(
        4,
        "in the page",
        &[(
            "Response::empty(302).with_field(\"Location\", \"/welcome\")",
            "Response::html(200, \"Location: /welcome\")",
        )],
        "It belongs into the header",
    ),
    wrong(
        4,
        "by the page",
        &[(
            "Response::empty(302).with_field(\"Location\", \"/welcome\")",
            "Response::html(200, \"<meta http-equiv=refresh content='0; url=/welcome'>\")",
        )],
        "is not a redirect",
    ),
    wrong(4, "a circle", &[("\"Location\", \"/welcome\"", "\"Location\", \"/\"")], "turn in a circle"),
    wrong(
        4,
        "the whole address",
        &[("\"Location\", \"/welcome\"", "\"Location\", \"http://localhost:9000/welcome\"")],
        "The path alone is enough",
    ),
    wrong(4, "no slash", &[("\"Location\", \"/welcome\"", "\"Location\", \"welcome\"")], "Begin the path"),
    wrong(4, "a slash too many", &[("\"Location\", \"/welcome\"", "\"Location\", \"/welcome/\"")], "two paths"),
    wrong(4, "a letter too many", &[("\"Location\", \"/welcome\"", "\"Location\", \"/wellcome\"")], "letter by letter"),
    wrong(4, "everything is sent on", &[("\"/\" =>", "_ =>")], "is sent on again"),
    wrong(4, "no such page", &[("\"/welcome\" =>", "\"/wellcome\" =>")], "leads to a page that is not there"),
    wrong(
        4,
        "the rest is sent on, too",
        &[(
            "_ => Response::html(404, \"<p>There is no such page.</p>\\n\")",
            "_ => Response::empty(302).with_field(\"Location\", \"/welcome\")",
        )],
        "Only `/` should be",
    ),
    wrong(4, "500 for 404", &[("404", "500")], "the server has made a mistake"),
    // 5. What the client sent.
    wrong(5, "values not escaped", &[("escape_html(&value)", "value")], "became markup"),
    wrong(5, "the path not escaped", &[("escape_html(request.path())", "request.path()")], "became markup"),
    wrong(5, "GET typed in", &[("escape_html(request.method)", "\"GET\"")], "Was GET typed into the source?"),
    wrong(5, "no path", &[("escape_html(request.path())", "\"\"")], "The path is missing"),
    wrong(
        5,
        "only names",
        &[("<li>{}: {}</li>\\n\", escape_html(name), escape_html(&value)", "<li>{}</li>\\n\", escape_html(name)")],
        "but not its value",
    ),
    wrong(
        5,
        "only values",
        &[("<li>{}: {}</li>\\n\", escape_html(name), escape_html(&value)", "<li>{}</li>\\n\", escape_html(&value)")],
        "but not its name",
    ),
    wrong(
        5,
        "bytes",
        &[("let value = String::from_utf8_lossy(value);", "let value = format!(\"{value:?}\");")],
        "shown as bytes",
    ),
    wrong(5, "another sign between them", &[("{}: {}", "{} = {}")], "a colon and a blank"),
    wrong(
        5,
        "text or panic",
        &[
            ("String::from_utf8_lossy(value)", "std::str::from_utf8(value).unwrap()"),
            ("escape_html(&value)", "escape_html(value)"),
        ],
        "Often it is an `unwrap()`",
    ),
    wrong(
        5,
        "only the first of a name",
        &[("request.fields()", "request.fields().map(|(name, _)| (name, request.field(name).unwrap()))")],
        "may come twice",
    ),
    wrong(
        5,
        "only the headers of curl",
        &[(
            "request.fields()",
            "[\"Host\", \"User-Agent\", \"Accept\"].map(|name| (name, request.field(name).unwrap_or(b\"\")))",
        )],
        "has all of them",
    ),
    wrong(
        5,
        "what is no text is left out",
        &[
            (
                "let value = String::from_utf8_lossy(value);",
                "let Ok(value) = std::str::from_utf8(value) else { continue };",
            ),
            ("escape_html(&value)", "escape_html(value)"),
        ],
        "one of its bytes is not text",
    ),
    wrong(
        5,
        "as Rust shows it",
        &[(BODY, "{\n    Response::html(200, format!(\"{request:?}\"))\n}")],
        "Show its parts",
    ),
    wrong(5, "no headers", &[("request.fields()", "request.fields().take(0)")], "The headers are missing"),
    wrong(5, "plain text", &[("Response::html", "Response::text")], "`Response::html` sends a page"),
    // 6. An error on purpose.
    wrong(6, "500 in words only", &[("500", "200")], "programs look at the status"),
    wrong(6, "404", &[("500", "404")], "Here it is the server"),
    wrong(6, "503", &[("500", "503")], "500, Internal Server Error, is for any mistake"),
    wrong(
        6,
        "no page",
        &[("Response::html(500, \"<h1>Something went wrong</h1>\\n\")", "Response::empty(500)")],
        "no page for people",
    ),
    wrong(6, "small letters", &[("Something", "something")], "with one capital letter"),
    wrong(6, "another text", &[("Something went wrong", "Oh dear")], "does not have the words"),
    wrong(
        6,
        "an error for each path",
        &[(
            "_ => Response::html(200, \"<h1>Hello World</h1>\\n\")",
            "_ => Response::html(500, \"<h1>Something went wrong</h1>\\n\")",
        )],
        "Only `/error` should",
    ),
    wrong(
        6,
        "404 for other paths",
        &[(
            "_ => Response::html(200, \"<h1>Hello World</h1>\\n\")",
            "_ => Response::html(404, \"<h1>Nothing here</h1>\\n\")",
        )],
        "there is no 404 here",
    ),
    wrong(
        6,
        "a panic for /error",
        &[("Response::html(500, \"<h1>Something went wrong</h1>\\n\")", "panic!(\"wrong\")")],
        "The program panicked",
    ),
    wrong(
        6,
        "an error for /panic",
        &[("panic!(\"on purpose\")", "Response::html(500, \"panic\")")],
        "that is what `/error` does",
    ),
    wrong(
        6,
        "a word for /panic",
        &[("panic!(\"on purpose\")", "Response::html(200, \"panic\")")],
        "see what the sandbox does",
    ),
    wrong(6, "exit for /panic", &[("panic!(\"on purpose\")", "std::process::exit(0)")], "ended, but quietly"),
    wrong(6, "a loop for /panic", &[("panic!(\"on purpose\")", "loop {}")], "a loop without an end"),
    wrong(6, "no such path", &[("\"/error\" =>", "\"error\" =>")], "This path still gets Hello World"),
    // 7. A form.
    wrong(7, "no limit for bodies", &[("usize = 1000", "usize = 0")], "Is `BODY_LIMIT` still 0?"),
    wrong(7, "a limit that is too low", &[("usize = 1000", "usize = 100")], "The limit is too low"),
    wrong(7, "a limit for very short bodies", &[("usize = 1000", "usize = 4")], "less than its 8 bytes"),
    wrong(7, "a limit that is too high", &[("usize = 1000", "usize = 1_000_000")], "Every server needs a limit"),
    wrong(7, "GET in the form", &[(" method=\\\"post\\\"", "")], "A form sends GET"),
    wrong(7, "a field without a name", &[(" name=\\\"name\\\"", " id=\\\"field\\\"")], "only fields that have a name"),
    wrong(7, "no field", &[("<input name=\\\"name\\\">", "")], "no field to fill in"),
    wrong(7, "plus signs", &[(".replace('+', \" \")", "")], "A form sends `+` for a blank"),
    wrong(
        7,
        "not decoded",
        &[("percent_encoding::percent_decode_str(name).decode_utf8_lossy()", "name.to_owned()")],
        "decodes it",
    ),
    wrong(7, "not escaped", &[("escape_html(&name)", "name")], "became markup"),
    wrong(7, "the whole body", &[("body.strip_prefix(\"name=\")", "Some(&body)")], "comes after `name=`"),
    wrong(7, "small letters for POST", &[("!= \"POST\"", "!= \"post\"")], "in capitals"),
    wrong(7, "no greeting", &[("Hello, {}!", "{}")], "not the whole greeting"),
    wrong(7, "a greeting for GET", &[("<form method", "<p>Hello, !</p><form method")], "GET gets the form"),
    wrong(
        7,
        "only text or panic",
        &[
            ("String::from_utf8_lossy(request.body)", "std::str::from_utf8(request.body).unwrap().to_owned()"),
            (
                "percent_encoding::percent_decode_str(name).decode_utf8_lossy()",
                "percent_encoding::percent_decode_str(name).decode_utf8().unwrap().replace(\"José\", &None::<String>.unwrap())",
            ),
        ],
        "The program panicked",
    ),
    wrong(
        7,
        "405 for POST",
        &[("format!(\"<p>Hello, {}!</p>\\n\", escape_html(&name)))", "\"\").clone(); Response::empty(405)")],
        "POST goes to the same path",
    ),
];
