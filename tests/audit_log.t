#!/usr/bin/perl

# The audit log: one line for each request that Tollgate had a say in, valid JSON whatever bytes the
# request held, never a credential or a query string, and none lost when files are rotated, nginx is
# reloaded or stopped.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_start /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header hs256 keys_file status/;
use Tollgate::Client;

use IO::Select;
use JSON::PP qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite http_v2/)->has_daemon('curl')->plan(76);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier open { }
    tollgate_tier once { requests 1r/h; }
    tollgate_tier many { requests 5000r/d; }
    tollgate_limit rule key=all requests=100r/h burst=200;

    tollgate_api_keys keys.json;
    large_client_header_buffers 4 32k;

    server {
        listen       127.0.0.1:8080;
        listen       127.0.0.1:8082 http2;
        server_name  localhost;

        tollgate on;
        tollgate_audit_log audit.log;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /slow {
            proxy_pass http://127.0.0.1:8084;
        }

        location /dead {
            proxy_pass http://127.0.0.1:8083;
        }

        location /rule {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081;
        }

        location /jwt {
            tollgate_auth jwt;
            tollgate_jwt_key_file secret;
            tollgate_default_tier open;
            tollgate_audit_log jwt.log;
            proxy_pass http://127.0.0.1:8081;
        }

        location /strings {
            tollgate_audit_log strings.log;
            proxy_pass http://127.0.0.1:8081;
        }

        location /open {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /silent {
            tollgate_audit_log off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /other {
            tollgate_audit_log other.log;
            proxy_pass http://127.0.0.1:8081;

            location /other/nested {
                proxy_pass http://127.0.0.1:8081;
            }

            location /other/silent {
                tollgate_audit_log off;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /buffered {
            tollgate_audit_log buffered.log buffer=4k flush=1h;
            proxy_pass http://127.0.0.1:8081;
        }

        location /flushed {
            tollgate_audit_log flushed.log buffer=64k flush=20ms;
            proxy_pass http://127.0.0.1:8081;
        }

        location /rotated {
            tollgate_audit_log rotated.log buffer=2k flush=1h;
            proxy_pass http://127.0.0.1:8081;
        }

        location /full {
            tollgate_audit_log /dev/full buffer=1k;
            proxy_pass http://127.0.0.1:8081;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOF

my $secret = '0123456789abcdef0123456789abcdef';

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('secret', $secret);
$t->write_file('keys.json', keys_file(
	{ key => 'key-open', client => 'acme', tier => 'open', id => 'k_acme' },
	{ key => 'key-once', client => 'once', tier => 'once', id => 'k_once' },
	{ key => 'key-many', client => 'many', tier => 'many' },
	{ key => 'key-expired', client => 'late', tier => 'open', id => 'k_late',
		expires => '2020-01-01T00:00:00Z' },
));
$t->run_daemon(\&silent_daemon, port(8084), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8084));

my $dir = $t->testdir();
my $key = 'X-API-Key: key-open';

###############################################################################

# a request that passed

my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
my $request = request('/v1/models?api_key=query-secret', 'Connection: close', $key,
	'X-Request-ID: my-id.1', "traceparent: $trace");
my $before = time();
my $r = http($request);
my ($line) = audit_lines($t, 'audit.log', 1);

like(delete $line->{time}, qr/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/, 'time');
cmp_ok(delete $line->{duration_ms}, '<', 1000 * (time() - $before + 2), 'duration');
cmp_ok(delete $line->{upstream_ms}, '<', 1000 * (time() - $before + 2), 'duration, upstream');
is_deeply($line, {
	request_id => 'my-id.1', decision => 'allow', status => 200,
	client => 'acme', key_id => 'k_acme', tier => 'open', auth => 'api_key',
	remote_addr => '127.0.0.1', method => 'GET', path => '/v1/models',
	upstream => '127.0.0.1:' . port(8081), upstream_status => 200,
	bytes_in => length $request, bytes_out => length $r, traceparent => $trace,
}, 'a request that passed');

like($t->read_file('audit.log'), qr/"status":200,.*"bytes_in":\d+,/, 'numbers are numbers');

# and others

get('/v1', 'X-API-Key: key-once');
get('/v1/spent', 'X-API-Key: key-once');
get('/v1/none');
get('/v1/expired', 'X-API-Key: key-expired');
get('/rule', $key);
get('/dead', $key);
connection()->ask(request('POST /v1/post', $key, 'Content-Length: 5') . 'hello');
curl('--http2-prior-knowledge', '-H', $key, 'http://127.0.0.1:' . port(8082) . '/v1/h2?query-secret');

my $gone = http_start(request('/slow', $key));
$t->waitforfile("$dir/slow");
close $gone;

my %line = map { $_->{path} => $_ } audit_lines($t, 'audit.log', 10);

is(fields('/v1/spent', qw/decision reason status client key_id tier limit remaining upstream/),
	'deny requests_exceeded 429 once k_once once requests 1r/h 0 -', 'a spent limit');
is(fields('/v1/none', qw/decision reason status client key_id auth/),
	'deny missing_credential 401 - - -', 'no credential');
is(fields('/v1/expired', qw/decision reason status client key_id/),
	'deny expired_credential 401 late k_late', 'an expired key: whose it was');
is(fields('/rule', qw/decision limit remaining/), 'allow rule requests 100r/h burst=200 199',
	'a rule');
is(fields('/dead', qw/decision status upstream_status/), 'allow 502 502', 'a dead upstream');
is(fields('/v1/post', qw/method status/), 'POST 200', 'a method');
is($line{'/v1/post'}{bytes_in}, length(request('POST /v1/post', $key, 'Content-Length: 5')) + 5,
	'a body is counted');
is(fields('/v1/h2', qw/decision status client/), 'allow 200 acme', 'HTTP/2');
cmp_ok($line{'/v1/h2'}{bytes_out}, '>', 6, 'HTTP/2: bytes');
is(fields('/slow', qw/decision status client/), 'allow 499 acme', 'a client that goes away');
like($line{'/v1/none'}{request_id}, qr/^[0-9a-f]{32}$/, 'an id of ours');
is(scalar keys %line, 10, 'one line each');

# which file

get($_, $key) for qw!/open /silent /other /other/nested /other/silent!;
is(join(' ', map { $_->{path} } audit_lines($t, 'other.log', 2)), '/other /other/nested',
	'another file, inherited by a nested location');
get('/v1/last', $key);
my @paths = map { $_->{path} } audit_lines($t, 'audit.log', 11);
is(scalar(@paths), 11, 'one line more');
is(scalar(grep { m!open|silent|other! } @paths), 0, 'off: nowhere');

# what no log may hold

unlike($t->read_file('audit.log') . $t->read_file('other.log'), qr/key-|secret/,
	'no credential and no query string');

# what a request may hold

my %odd = (
	quotes => '/strings/"\\"\\\\',
	'invalid UTF-8' => "/strings/\xff\xfe\xc3\x28\xed\xa0\x80",
	'UTF-8' => "/strings/\xe2\x82\xac\xf0\x9f\x92\xa9",
	'a line separator' => "/strings/\xe2\x80\xa8\xe2\x80\xa9",
	'a bidi mark' => "/strings/\xe2\x80\xae\xe2\x81\xa6",
	'C1 controls' => "/strings/\xc2\x80\xc2\x9f",
	escapes => '/strings/%01%0a%0d%22%e2%80%a8%ff',
	length => '/strings/' . 'x' x 8000,
	fragment => '/strings/#key-secret?key-secret',
	'a question mark' => '/strings/%3Fkey=secret%3Fsecret',
);
my $lines = 0;
for my $name (sort keys %odd) {
	# Control characters and backslashes are refused, and logged all the same.
	my $status = $name =~ /escapes|quotes/ ? 400 : 200;
	is(status(http("GET $odd{$name} HTTP/1.0\r\nHost: localhost\r\n$key\r\n\r\n")), $status,
		"answered: $name");
	my $last = (audit_lines($t, 'strings.log', ++$lines))[-1];
	is(ref $last, 'HASH', "and valid: $name");
}
my $text = $t->read_file('strings.log');
is(($text =~ tr/\n//), $lines, 'a line is a line');
unlike($text, qr/[\x00-\x09\x0b-\x1f\x7f]|\xe2\x80[\xa8-\xae]|\xc2[\x80-\x9f]/,
	'nothing that a terminal would obey');
unlike($text, qr/secret/, 'what follows a question mark or a hash is not logged');
unlike($text, qr/x{4000}/, 'a long path is cut');

# Requests that nginx refuses before anybody is asked.
for my $garbage ("\x16\x03\x01\x02\x00\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
	"G\"T / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /../.. HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /%zz HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
	"GET /" . 'y' x 40000 . " HTTP/1.0\r\n\r\n") {
	http($garbage);
}
my @odd = audit_lines($t, 'audit.log', 11 + 10);
is(scalar(@odd), 21, 'garbage: one line each');
is(scalar(grep { !ref } @odd), 0, 'garbage: valid');
is(scalar(grep { $_->{status} !~ /^(400|414|505)$/ || $_->{decision} } @odd[11 .. $#odd]), 0,
	'garbage: refused, and not by us');

# strings that break things

SKIP: {
	my $vectors = $ENV{TOLLGATE_VECTORS} // "$FindBin::Bin/../../shared/vectors";
	open my $file, '<:raw', "$vectors/strings/blns.json" or skip 'no vectors', 8;
	my $strings = JSON::PP->new->utf8->decode(do { local $/; <$file> });
	cmp_ok(scalar @$strings, '>', 500, 'strings');

	my ($in_path, $in_header, $in_token, $refused) = (0, 0, 0, 0);
	for my $string (@$strings) {
		my $bytes = $string;
		utf8::encode($bytes);

		# What would end a line is sent escaped, or not at all.
		(my $path = $bytes) =~ s/([\x00-\x20\x7f%?#])/sprintf '%%%02x', ord $1/ge;
		http("GET /strings/$path HTTP/1.0\r\nHost: localhost\r\n$key\r\n\r\n");
		$in_path++;

		(my $value = $bytes) =~ s/[\x00\r\n]//g;
		get('/strings/header', $key, "X-Request-ID: $value", "traceparent: $value",
			"User-Agent: $value");
		$in_header++;

		my $token = hs256($secret, { sub => $string, tenant => $string, exp => time() + 3600 });
		$refused++ if status(get('/jwt', "Authorization: Bearer $token")) != 200;
		$in_token++;
	}

	# Some paths lead elsewhere ("/strings/.."), and nginx refuses some requests.
	my $expected = $lines + 21 + $in_path + $in_header;
	my @found;
	poll {
		@found = map { audit_lines($t, $_) } qw/strings.log audit.log/;
		@found >= $expected;
	};
	is(scalar(grep { !ref } @found), 0, 'strings in paths and headers: valid');
	is(scalar(@found), $expected, 'strings in paths and headers: one line each');
	@found = grep { ref && $_->{path} =~ m!^/strings/! } @found;
	is(scalar(grep { ($_->{request_id} // 'none') !~ /^[\w.+=-]+$/ } @found), 0,
		'strings in X-Request-ID: well-formed, or one of ours');
	is(scalar(grep { defined $_->{traceparent} } @found), 0,
		'strings in traceparent: none is one');

	my @tokens = audit_lines($t, 'jwt.log', $in_token);
	is(scalar(grep { !ref } @tokens), 0, 'strings in tokens: valid');
	is(scalar(@tokens), $in_token, 'strings in tokens: one line each');
	my %wanted = map { $_ => 1 } @$strings;
	is(scalar(grep { ref && defined $_->{client} && !$wanted{$_->{client}} } @tokens), 0,
		'strings in tokens: the client as it is');
	note("$refused of $in_token are no names for a client");
}

# when lines are written

get('/flushed', $key);
is(scalar(audit_lines($t, 'flushed.log', 1)), 1, 'flush: soon');

get('/buffered', $key);
get('/flushed', $key);
audit_lines($t, 'flushed.log', 2);
is($t->read_file('buffered.log'), '', 'buffer: not before it is full');
get('/buffered', $key) for 1 .. 30;
$text = $t->read_file('buffered.log');
cmp_ok(length $text, '>=', 4096, 'buffer: when it is full');
like($text, qr/\n\z/, 'buffer: whole lines');
my $written = () = $text =~ /\n/g;
cmp_ok($written, '<', 31, 'buffer: the others wait');

# a full disk

is(join(' ', map { status(get('/full', $key)) } 1 .. 30), join(' ', (200) x 30),
	'a full disk: requests are served');
ok(poll { $t->read_file('error.log') =~ m!\[error\].*cannot write the audit log "/dev/full"! },
	'a full disk: it is said');
my $complaints = () = $t->read_file('error.log') =~ m!cannot write the audit log!g;
cmp_ok($complaints, '<', 30, 'a full disk: not for each request');

# rotation

my $master = $t->read_file('nginx.pid') + 0;
my $sent = 0;
for my $round (1 .. 3) {
	get('/rotated', $key), $sent++ for 1 .. 40;
	rename "$dir/rotated.log", "$dir/rotated.log.$round" or die "Can't rename: $!\n";
	kill 'USR1', $master;
	# Some of these come before the worker has got the signal.
	get('/rotated', $key), $sent++ for 1 .. 20;
	ok(poll { -e "$dir/rotated.log" }, "rotation $round: a new file");
	ok(poll { get('/rotated', $key); $sent++; -s "$dir/rotated.log" },
		"rotation $round: new lines are in it");
}

# an old worker doesn't wait for the timer of its log

my @old = reload_and_wait($t);
ok(poll { !grep { kill 0, $_ } @old }, 'reload: the old worker goes, though lines waited');
is(scalar(audit_lines($t, 'buffered.log', 31)), 31, 'reload: they were written');

get('/buffered', $key);
get('/rotated', $key);
$sent++;

# TERM

kill 'TERM', $master;
poll { !-e "$dir/nginx.pid" } or die "nginx does not stop\n";
is(scalar(audit_lines($t, 'buffered.log', 32)), 32, 'TERM: lines that waited are written');

$t->run();
get('/buffered', $key);
get('/rotated', $key);
$sent++;

# QUIT

$t->stop();
is(scalar(audit_lines($t, 'buffered.log')), 33, 'QUIT: lines that waited are written');

my @rotated = map { audit_lines($t, "rotated.log$_") } '', '.1', '.2', '.3';
is(scalar(grep { !ref } @rotated), 0, 'rotation: whole lines');
is(scalar(@rotated), $sent, 'rotation: none lost, none twice');

###############################################################################

# Fields of a line, absent ones as "-".
sub fields {
	my ($path, @names) = @_;
	return join ' ', map { $line{$path}{$_} // '-' } @names;
}

# Accepts a request, says so by making a file, and never answers.
sub silent_daemon {
	my ($port, $dir) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";

	while (my $client = $server->accept()) {
		while (<$client>) {
			last if /^\x0d?\x0a?$/;
		}
		# None from waitforsocket().
		next unless defined $_;

		open my $file, '>', "$dir/slow" or die "Can't create slow: $!\n";
		close $file;
		IO::Select->new($client)->can_read();
	}
}

###############################################################################
