#!/usr/bin/perl

# What the backend sees of a request: who is asking, in our words, and neither the credential nor
# anything that the client says about himself. All else stays as it was sent.

use warnings;
use strict;

use Test::More;

use Test::Nginx qw/ :DEFAULT http_content /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ get header headers keys_file status /;
use Tollgate::Client qw/ poll /;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()
	->has(qw/http access mirror proxy rewrite upstream_keepalive/)->plan(101);

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

# request ids must differ between workers, too
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone         zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier         pro { }
    tollgate_tier         basic { }
    tollgate_default_tier basic;
    tollgate_limit        everybody key=all requests=1000000r/h;

    log_format  id  $tollgate_request_id;
    access_log  %%TESTDIR%%/id.log id;

    upstream kept {
        server 127.0.0.1:8081;
        keepalive 4;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        # whatever a client may call a header
        underscores_in_headers       on;
        ignore_invalid_headers       off;
        large_client_header_buffers  4 16k;
        client_body_buffer_size      1k;

        tollgate           on;
        tollgate_api_keys  keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /pass {
            tollgate_pass_credentials on;
            proxy_pass http://127.0.0.1:8081;

            location /pass/not {
                tollgate_pass_credentials off;
                proxy_pass http://127.0.0.1:8081;
            }
        }

        location /set {
            proxy_set_header X-Seen "$http_user_agent|$http_referer|$http_cookie|$http_x_forwarded_for|$content_type|$http_range|$http_authorization|$http_x_client_id";
            proxy_pass http://127.0.0.1:8081;
        }

        location /known {
            tollgate_api_key_header Cookie X-API-Key Authorization;
            proxy_set_header X-Seen "$http_referer|$http_user_agent|$http_cookie|$http_x_forwarded_for|$proxy_add_x_forwarded_for|$remote_user";
            proxy_pass http://127.0.0.1:8081;
        }

        location /twice {
            proxy_set_header X-Client-ID  "prefix-$tollgate_client";
            proxy_set_header X-Request-ID $tollgate_request_id;
            proxy_pass http://127.0.0.1:8081;
        }

        location /kept {
            proxy_http_version 1.1;
            proxy_set_header   Connection "";
            proxy_pass http://kept;
        }

        location /none {
            tollgate_auth none;
            tollgate_apply everybody;
            proxy_pass http://127.0.0.1:8081;
        }

        location /any {
            satisfy any;
            allow all;
            proxy_pass http://127.0.0.1:8081;
        }

        location /dry {
            tollgate_dry_run on;
            proxy_pass http://127.0.0.1:8081;
        }

        location /off {
            tollgate off;
            proxy_pass http://127.0.0.1:8081;
        }

        location /copied {
            mirror /mirror;
            proxy_pass http://127.0.0.1:8081;
        }

        location = /mirror {
            internal;
            proxy_pass http://127.0.0.1:8081/mirrored;
        }

        # redirects inside of nginx

        location /failing {
            proxy_pass http://127.0.0.1:8082;
            error_page 502 = @fallback;
        }

        location @fallback {
            proxy_pass http://127.0.0.1:8081;
        }

        location /stranger {
            proxy_pass http://127.0.0.1:8082;
            error_page 502 = @others;
        }

        location @others {
            tollgate_api_keys others.json;
            proxy_pass http://127.0.0.1:8081;
        }

        location /tried {
            try_files /no/such/file @fallback;
        }

        location /rewritten {
            rewrite ^ /target last;
        }

        location /accelerated {
            internal;
            proxy_pass http://127.0.0.1:8081;
        }
    }
}

EOF

$t->write_file('keys.json', keys_file(
	{ key => 'tg_acme', client => 'acme', tier => 'pro' },
	{ key => 'tg_bob', client => "Bob's caf\xe9", tier => 'pro' },
	{ key => 'tg_plain', client => 'plain' },
));
$t->write_file('others.json', keys_file({ key => 'tg_other', client => 'other', tier => 'pro' }));
$t->run_daemon(\&backend, port(8081), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8081));

my @key = ('Authorization: Bearer tg_acme');

###############################################################################

# the principal

my $r = get('/', @key);
is(status($r), 200, 'request');
is_deeply([seen($r, 'X-Client-ID')], ['acme'], 'client');
is_deeply([seen($r, 'X-Client-Tier')], ['pro'], 'tier');
is_deeply([seen($r, 'Host')], ['127.0.0.1:' . port(8081)], 'host is that of proxy_pass');
is_deeply([seen(get('/', 'X-API-Key: tg_bob'), 'X-Client-ID')], ["Bob's caf\xc3\xa9"],
	'client beyond ASCII');
is_deeply([seen(get('/', 'X-API-Key: tg_plain'), 'X-Client-Tier')], ['basic'], 'default tier');

# what the client says about himself, in any spelling that a backend could take for it

my @spellings = qw/X-Client-ID x-client-id X-CLIENT-ID X_Client_ID X.Client.ID X-Client_ID
	x_client-id X~Client!ID X-Client-Tier x_client_tier X.Client-Tier X|client|tier/;
for my $name (@spellings, "X\xb7Client\xb7ID") {
	for my $uri (qw!/ /pass /kept /any /none /dry!) {
		# Several of them, before and behind.
		$r = get($uri, "$name: root", 'X-Between: 1', "$name: root", @key, "$name: root");
		fail("$name, $uri: " . (status($r) // 'none')) if status($r) != 200 or $r =~ /root/;
	}
	unlike($r, qr/root/, "spelling '" . $name =~ s/[^ -~]/?/gr . "'");
}

$r = get('/', map({ "$_: root" } @spellings), @key);
is_deeply([seen($r, 'X-Client-ID'), seen($r, 'X-Client-Tier')], ['acme', 'pro'], 'all at once');
$r = get('/', map({ "$_: root" } (@spellings) x 10), @key);
is_deeply([seen($r, 'X-Client-ID'), seen($r, 'X-Client-Tier')], ['acme', 'pro'], 'many of each');
unlike($r, qr/root/, 'many of each, none is left');
# nginx itself refuses it since 1.21.1.
my $blank = $t->has_version('1.21.1') ? qr/^HTTP\S+ 400 / : qr/^HTTP\S+ 200 (?!.*root)/s;
like(get('/', 'X-Client-ID : root', @key), $blank, 'a blank before the colon');
unlike(get('/', "X-Other: 1\r\n X-Client-ID: root", @key), qr/^X-Client-ID: root/mi, 'folded');
# What nginx says itself: nothing, where HTTP/1.1 is the rule.
my @connection = $t->has_version('1.29.7') ? () : ('close');
is_deeply([seen(get('/', 'Connection: X-Client-ID, X-Client-Tier', @key), 'Connection')], \@connection,
	'a hop-by-hop header by order of the client');

my @innocent = ('X-Client-IDs: 1', 'X-Client: 2', 'My-X-Client-ID: 3', 'XClientID: 4',
	'X-Client-ID-: 5', 'X-Client--ID: 6');
is_deeply([map { /^[^:]+: [1-6]$/ ? $_ : () } lines(get('/', @innocent, @key))], \@innocent,
	'similar names pass');

# the credential

for my $sent (['Authorization: Bearer tg_acme'], ['authorization: BEARER tg_acme'],
	['X-API-Key: tg_acme'], ['x-api-key: tg_acme', 'Authorization: Bearer tg_acme'],
	[('X-API-Key: tg_acme') x 25], ['Authorization: Basic dGdfYWNtZQ==', 'X-API-Key: tg_acme'],
	['X-API-Key:', 'Authorization: Bearer tg_acme'])
{
	$r = get('/', @$sent);
	is(join('', map { seen($r, $_) } qw/X-Client-ID Authorization X-API-Key/), 'acme',
		"not passed on, '" . join(', ', map { /^([^:]+)/ } @$sent[0, -1]) . "'");
	unlike($r, qr/tg_acme|dGdfYWNtZQ/, 'nowhere');
}

$r = get('/pass', 'X-API-Key: tg_acme', @key);
is_deeply([seen($r, 'Authorization'), seen($r, 'X-API-Key')], ['Bearer tg_acme', 'tg_acme'],
	'passed on where that is configured');
is_deeply([seen($r, 'X-Client-ID')], ['acme'], 'beside the client');
unlike(get('/pass/not', @key), qr/tg_acme/, 'switched off again');
is_deeply([seen(get('/off', @key, 'X-Client-ID: root'), 'X-Client-ID')], ['root'],
	'off: nothing is touched');

# all other header lines, in their order, wherever ours were; also the ones that nginx knows

my @known = ('User-Agent: a', 'Referer: b', 'Accept: c', 'Accept-Encoding: gzip', 'Via: 1.1 v',
	'Accept-Language: d', 'Cookie: e=1', 'Cookie: f=2', 'X-Forwarded-For: 192.0.2.1',
	'X-Forwarded-For: 192.0.2.2', 'X-Real-IP: 192.0.2.3', 'Content-Type: text/x', 'Range: bytes=0-',
	'If-Range: "x"', 'If-None-Match: "y"', 'If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT',
	'Date: g', 'Depth: 1', 'Destination: /h', 'Overwrite: T', 'X-Empty:', 'x-lower: i', 'X-Lower: j',
	'X-Client-Name: k', 'traceparent: 00-l');
my @ours = ('Authorization: Bearer tg_acme', 'X-API-Key: tg_acme', 'X-API-Key: tg_acme',
	'X-Client-ID: root', 'x-client-id: root', 'X_Client_Tier: root', 'X-Request-ID: mine',
	'X.Request.ID: other');

my $seed = $ENV{TOLLGATE_TEST_SEED} // int rand 2 ** 31;
srand $seed;
my $wrong = 0;
for my $round (1 .. 80) {
	# Any number of lines: nginx keeps twenty of them in one part of its list.
	my @others = map { "X-Filler-$_: $_" } 1 .. int rand 60;
	my @lines = sort { $a->[0] <=> $b->[0] }
		(map { [rand, $_, 1] } @known, @others),
		(map { [rand, $_, 0] } @ours);
	my @want = map { $_->[1] } grep { $_->[2] } @lines;
	$r = get('/', map { $_->[1] } @lines);
	my $is = join "\n", grep { !/^(?:Host|Connection|X-Client-ID|X-Client-Tier|X-Request-ID):/ }
		lines($r);
	# nginx passes them on with a blank behind the colon.
	my $want = join "\n", map { s/:$/: /r } @want;
	next if $is eq $want && seen($r, 'X-Client-ID') eq 'acme' && seen($r, 'X-Request-ID') eq 'mine';
	diag("seed $seed, round $round:\n$is\ninstead of:\n$want") if !$wrong++;
}
is($wrong, 0, "other header lines, in their order (TOLLGATE_TEST_SEED=$seed)");

# ... and nginx finds them where it looks for them

$wrong = 0;
for my $round (1 .. 40) {
	my @others = map { "X-Filler-$_: $_" } 1 .. int rand 40;
	# Ours anywhere among the known ones, whose order stays.
	my @lines = @known;
	splice @lines, int rand @lines + 1, 0, $_ for @ours, @others;
	$r = get('/set', @lines);
	my ($is) = seen($r, 'X-Seen');
	my $want = 'a|b|e=1; f=2|192.0.2.1, 192.0.2.2|text/x|bytes=0-||acme';
	# Before 1.23.0 nginx gives the first of several lines only, unless it is a cookie.
	$want =~ s/, 192.0.2.2// unless $t->has_version('1.23.0') || $is =~ /, 192/;
	diag("seed $seed, round $round: '$is' instead of '$want'") if $is ne $want && !$wrong++;
}
is($wrong, 0, "known header lines as variables (TOLLGATE_TEST_SEED=$seed)");

# nor does it find what was taken off, or what stands in its place now

my $taken_off = '||||127.0.0.1|';
my $others = "X-Before: 1\r\nX-After: 2\r\nX-Last: 3";
for my $name (qw/Cookie X-API-Key/) {
	$r = get('/known', $others, "$name: tg_acme", $others);
	is(seen($r, 'X-Seen'), $taken_off, "key in $name");
	$r = get('/known', "$name: tg_acme", $others, "$name: tg_acme", $others);
	is(seen($r, 'X-Seen'), $taken_off, "key in $name, twice");
}
$r = get('/known', 'Authorization: Basic YTpi', $others, 'Cookie: tg_acme', 'Cookie: tg_acme', $others);
is(seen($r, 'X-Seen'), $taken_off, 'another scheme, key in Cookie');

# bodies

my $body = join '', map { chr int rand 256 } 1 .. 100_000;
for my $uri (qw!/ /kept /copied!) {
	$r = http("POST $uri HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$key[0]\r\n"
		. 'Content-Length: ' . length($body) . "\r\n\r\n", body => $body);
	is(length($body) . seen($r, 'Content-Length') . (body_of($r) eq $body), length($body) x 2 . 1,
		"body, $uri");
}
$r = http("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$key[0]\r\n"
	. "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-Client-ID: root\r\n\r\n");
is(body_of($r), 'hello world', 'chunked body');
unlike($r, qr/root/, 'not in a trailer, either');
$r = http("POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nExpect: 100-continue\r\n"
	. "Content-Length: 3\r\n$key[0]\r\n\r\n", body => 'abc');
like($r, qr/^HTTP\/1\.1 100 .*\nabc$/s, 'expected body');

# one upstream connection for several requests

my $request = "GET /kept HTTP/1.1\r\nHost: localhost\r\n$key[0]\r\nX-Client-ID: root\r\n";
$r = http("$request\r\n" x 3 . "${request}Connection: close\r\n\r\n");
my ($first, @numbers) = $r =~ /^X-Number: (\d+)/mg;
is(join(' ', map { $_ - $first } @numbers), '1 2 3', 'upstream keepalive');
is(join(' ', $r =~ /^X-Client-ID: (.*?)\r?$/mg), 'acme acme acme acme', 'a client in each');

# request ids

$r = get('/', @key);
my ($id) = seen($r, 'X-Request-ID');
like($id, qr/^[0-9a-f]{32}$/, 'made');
is(header($r, 'x-request-id'), $id, 'made, told the client');
$r = get('/', @key, 'X-Request-ID: client-7.a_b');
is(join(' ', seen($r, 'X-Request-ID')), 'client-7.a_b', 'well-formed');
is(header($r, 'x-request-id'), 'client-7.a_b', 'well-formed, told the client');
is(header(get('/', 'X-Request-ID: refused-1'), 'x-request-id'), 'refused-1', 'refusals have one');
like(header(get('/', 'X-Request-ID: a b'), 'x-request-id'), qr/^[0-9a-f]{32}$/, 'and a new one');
is(header(get('/', @key, 'X-Request-ID: ' . 'a' x 128), 'x-request-id'), 'a' x 128, '128 bytes');

for my $bad ('', 'a b', 'a"b', "a\x01", "\xff", '../x', '-x', 'a:1', '$x', '<x>', 'a' x 129, "a\tb") {
	$r = get('/', @key, "X-Request-ID: $bad");
	my @ids = (seen($r, 'X-Request-ID'), headers($r, 'x-request-id'));
	ok(@ids == 2 && $ids[0] =~ /^[0-9a-f]{32}$/ && $ids[0] eq $ids[1],
		"replaced, '" . substr($bad, 0, 10) =~ s/[^ -~]/?/gr . "'");
}

$r = get('/', @key, 'X-Request-ID: one', 'x-request-id: two', 'X_Request_ID: three');
is(join(' ', seen($r, 'X-Request-ID'), headers($r, 'x-request-id')), 'one one', 'the first of two');
unlike($r, qr/two|three/, 'the others are gone');
$r = get('/own-id', @key, 'X-Request-ID: mine');
is(join(' ', headers($r, 'x-request-id')), 'mine', "in place of the backend's");

my %seen;
$seen{header(get('/', @key), 'x-request-id')}++ for 1 .. 100;
is(keys %seen, 100, 'all different');

# where the operator sets them himself

$r = get('/twice', @key, 'X-Client-ID: root', 'X-Request-ID: r-2');
is(join(' ', map { seen($r, $_) } qw/X-Client-ID X-Client-Tier X-Request-ID/), 'prefix-acme pro r-2',
	'proxy_set_header has the last word');

# nobody's request

is_deeply([seen(get('/none', @key), 'Authorization')], ['Bearer tg_acme'],
	'nobody is asked for it, so it is not ours');
for my $uri ('/none', '/any', '/dry') {
	$r = get($uri, 'X-Client-ID: root', 'X-Client-Tier: root', 'X-Request-ID: r-1');
	is(join(' ', status($r), map { seen($r, $_) } qw/X-Client-ID X-Client-Tier X-Request-ID/),
		'200 r-1', "anonymous, $uri");
}
$r = get('/any', 'Authorization: Bearer tg_nobody', 'X-Client-ID: root');
is(join(' ', status($r), map { seen($r, $_) } qw/X-Client-ID Authorization/), '200',
	'granted by another module, the wrong credential is stripped');
is_deeply([seen(get('/any', @key), 'X-Client-ID')], [], 'granted by another before we are asked');
$r = get('/dry', 'Authorization: Bearer tg_nobody', 'X-Client-ID: root');
is(join(' ', status($r), map { seen($r, $_) } qw/X-Client-ID Authorization/), '200',
	'dry run, wrong credential');
is_deeply([seen(get('/dry', @key), 'X-Client-ID')], ['acme'], 'dry run, good one');

# redirects inside of nginx: one client, one id, and no way around a judgement

for my $uri (qw!/failing /tried /rewritten /accel!) {
	$r = get($uri, @key, 'X-Client-ID: root', 'X-Request-ID: once');
	is(join(' ', map { seen($r, $_) } qw/X-Client-ID X-Client-Tier X-Request-ID Authorization/),
		'acme pro once', "redirected, $uri");
}
is(status(get('/stranger', @key)), 401, 'to a location with other keys');
is(status(get('/stranger', 'X-API-Key: tg_other')), 401, 'whose key is not one here');

# a mirrored request

$r = get('/copied', @key, 'X-Client-ID: root', 'X-Request-ID: copied-1');
is(status($r), 200, 'mirrored');
my $mirrored;
poll { $mirrored = eval { $t->read_file('mirrored.copied-1') } };
like($mirrored // '', qr/^X-Client-ID: acme\r$/m, 'its copy has the client');
unlike($mirrored // 'tg_acme', qr/tg_acme|root/, 'but no credential');

# the variable says the same as the headers

$t->stop();
my $log = $t->read_file('id.log');
is(scalar(grep { $log !~ /^$_$/m } keys %seen), 0, 'in the log, too');

###############################################################################

# The header lines that the backend saw, in its order.
sub lines {
	my ($r) = @_;
	my ($head) = (http_content($r) // '') =~ /^(.*?\r\n)\r\n/s or return;
	my (undef, @lines) = split /\r\n/, $head;
	return @lines;
}

sub seen {
	my ($r, $name) = @_;
	my @values = map { /^\Q$name\E: (.*)$/i ? $1 : () } lines($r);
	return wantarray ? @values : $values[0] // '';
}

sub body_of {
	my ($r) = @_;
	return ((http_content($r) // '') =~ /^.*?\r\n\r\n(.*)$/s)[0];
}

# Answers with the request as it came.
sub backend {
	my ($port, $dir) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 128,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";

	local $SIG{CHLD} = 'IGNORE';
	while (my $client = $server->accept()) {
		if (fork() // die "Can't fork: $!\n") {
			close $client;
			next;
		}
		close $server;
		my $number = 0;
		1 while answer($client, ++$number, $dir);
		exit 0;
	}
}

sub answer {
	my ($client, $number, $dir) = @_;

	my $request = '';
	while (my $line = <$client>) {
		$request .= $line;
		last if $line eq "\r\n";
	}
	return 0 unless $request =~ /\r\n\r\n$/;

	my ($uri) = $request =~ /^\S+ (\S+)/;
	my ($id) = $request =~ /^X-Request-ID: ([\w.-]+)\r$/mi;
	my ($length) = $request =~ /^Content-Length: (\d+)/mi;
	read($client, my $body, $length) if $length;

	if ($uri =~ /mirrored/ && $id) {
		open my $file, '>', "$dir/mirrored.$id.tmp" or die "Can't create a file: $!\n";
		print $file $request;
		close $file;
		rename "$dir/mirrored.$id.tmp", "$dir/mirrored.$id";
	}

	$request .= $body // '';
	print $client "HTTP/1.1 200 OK\r\nX-Number: $number\r\nContent-Length: " . length($request) . "\r\n"
		. ($uri =~ /own-id/ ? "X-Request-ID: from-the-backend\r\n" : '')
		. ($uri eq '/accel' ? "X-Accel-Redirect: /accelerated\r\n" : '')
		. "\r\n$request";
	$client->flush();
	return $request !~ /^Connection: close\r$/mi;
}

###############################################################################
