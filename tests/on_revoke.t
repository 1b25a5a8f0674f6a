#!/usr/bin/perl

# A key that is revoked while its request is under way: one that waits, or whose body still comes, is
# refused. A stream that runs may end, or is cut, as tollgate_on_revoke says.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/header hs256 json keys_file status/;
use Tollgate::Client;
use Tollgate::Engine;
use Tollgate::H2;
use Tollgate::Live;
use Tollgate::Metered qw/audited new_id/;

use MIME::Base64 qw/encode_base64url/;
use POSIX qw//;

select STDERR; $| = 1;
select STDOUT; $| = 1;

needs_engine();

my $t = Test::Nginx->new()->has(qw/http proxy rewrite/)->has_daemon('curl');

my $has_http2 = $t->has_module('http_v2') && `curl -V 2>/dev/null` =~ /\bHTTP2\b/;
my $listen_http2 = $t->has_version('1.25.1')
	? 'listen 127.0.0.1:8082; http2 on;' : 'listen 127.0.0.1:8082 http2;';

my $conf = <<'EOC';

%%TEST_GLOBALS%%

daemon off;
worker_processes 4;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier free  { }
    tollgate_tier one   { concurrency 1; tokens 100k/d; }
    tollgate_tier queue { concurrency 1 queue=4 timeout=1h; }
    tollgate_tier probe { concurrency 1 queue=1 timeout=300ms; }
    tollgate_default_tier free;
    tollgate_audit_log audit.log;

    add_header X-Reason $tollgate_reason always;
    keepalive_requests 1000000;
    proxy_buffering off;

    server {
        # Connections are spread over all workers.
        listen       127.0.0.1:8080 reuseport;
        %%LISTEN_HTTP2%%
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /finish/ {
            tollgate_on_revoke finish;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /close/ {
            tollgate_on_revoke close;
            proxy_pass http://127.0.0.1:8081/;

            location /close/not/ {
                tollgate_on_revoke finish;
                proxy_pass http://127.0.0.1:8081/;
            }
        }

        location /buffered/ {
            tollgate_on_revoke close;
            proxy_buffering on;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /token/ {
            tollgate_auth jwt;
            tollgate_jwt_key_file set.json;
            tollgate_on_revoke close;
            proxy_pass http://127.0.0.1:8081/;
        }

        location /known {
            proxy_pass http://127.0.0.1:8083;
        }

        location /known-token {
            tollgate_auth jwt;
            tollgate_jwt_key_file set.json;
            proxy_pass http://127.0.0.1:8083;
        }

        location /fence {
            tollgate_api_keys fence.json;
            proxy_pass http://127.0.0.1:8083;
        }

        location /pid {
            tollgate off;
            return 200 $pid;
        }
    }

    server {
        listen       127.0.0.1:8083;
        server_name  localhost;
        return       200 $http_x_client_id;
    }
}

EOC

$conf =~ s/%%LISTEN_HTTP2%%/$has_http2 ? $listen_http2 : ''/e;
$t->plan(61)->write_file_expand('nginx.conf', $conf);

# Of each client one key that is revoked, and one that is not.
my @clients = qw/one two three queued body h2 h2-multi buffered/;
my %tier = (queued => 'queue', 'h2-multi' => 'free');
my (%revoked, $written);
$t->write_file('keys.json', keys_file({ key => 'key-first', client => 'first', tier => 'free' }));
$t->write_file('fence.json', keys_file({ key => 'key-fence', client => 'fence', tier => 'free' }));
$t->write_file('set.json', key_set('a', 'b'));
start_engine($t, 8081);
$t->run();
live_in($t->testdir());
write_keys();

###############################################################################

# whoever waits for his turn is judged by the keys of that moment

my ($holder) = hold(client => 'queued-other');
my @waiting = map {
	my $connection = connection();
	$connection->send(completion(client => $_, tokens => 1));
	poll { waits($connection) };
	$connection;
} qw/queued queued-other/;
revoke('queued');
$holder->close();
my $r = $waiting[0]->answer();
is(status($r), 401, 'revoked in the queue: refused');
is(header($r, 'X-Reason'), 'revoked_credential', 'revoked in the queue: and that is why');
is(status($waiting[1]->answer()), 200, 'revoked in the queue: the next one has its turn');
is(status(complete(client => 'queued-other', tokens => 1)), 200, 'revoked in the queue: no slot is lost');

# and so is one whose body is still coming

my $text = completion(client => 'body', max => 5, tokens => 1);
my $connection = connection();
$connection->send(substr $text, 0, -10);
revoke('body');
$connection->send(substr $text, -10);
$r = $connection->answer();
is(status($r), 401, 'revoked in the middle of the body: refused');
is(header($r, 'X-Reason'), 'revoked_credential', 'revoked in the middle of the body: and that is why');
is(stats(8081)->{active}, 0, 'revoked in the middle of the body: the engine has nothing to do');

# a stream that runs may end

for my $place ('', '/finish', '/close/not') {
	restore('one');
	my $id = new_id();
	my $stream = stream($place, 'one', $id, tokens => 40, delay => 50);
	revoke('one');
	ok(!is_over($stream), "finish, '$place': the stream runs when the key is refused");
	like($stream->peek(sub { $_[0] =~ /\[DONE\]/ }) // '', qr/\[DONE\]/, "finish, '$place': to its end");
	$stream->close();
	is(outcome($t, $id), 'allow - 200 measured 40', "finish, '$place': the log says nothing of it");
}

# or is cut

restore('two');
my $id = new_id();
my $stream = stream('/close', 'two', $id, tokens => 7, hold => 1);
my $other_id = new_id();
my $other = stream('/close', 'three', $other_id, tokens => 60, delay => 50);
is(status(complete(client => 'two-other', max => 1)), 429, 'close: the slot is taken');
revoke('two');
ok(ends($stream), 'close: the connection ends');
unlike($stream->{buffer}, qr/\[DONE\]|(?:^|\r\n)0\r\n\r\n/, 'close: as one that was cut');
ok((poll { status(complete(client => 'two-other', max => 1, tokens => 1)) == 200 }), 'close: its slot is free');
is(outcome($t, $id), 'allow revoked_credential 200 partial 7', 'close: the log says why');
like($other->peek(sub { $_[0] =~ /\[DONE\]/ }) // '', qr/\[DONE\]/, 'close: others run to their end');
$other->close();
is(outcome($t, $other_id), 'allow - 200 measured 60', 'close: as if nothing had been');

# One of which nothing has come yet, as nginx collects it, or as there is nothing.

for my $case (['collected', '/buffered', 'X-Mock-Hold: 1'], ['not begun', '/close', 'X-Mock-Latency-Ms: 600000']) {
	my ($name, $place, $line) = @$case;
	restore('two');
	$id = new_id();
	my $before = stats(8081)->{started};
	my $connection = connection();
	$connection->send(completion(uri => "$place/v1/completions", client => 'two', stream => 1, tokens => 7,
		lines => ["X-Request-ID: $id", $line]));
	ok((poll { stats(8081)->{started} > $before }), "close, $name: the engine is at work");
	revoke('two');
	ok(ends($connection), "close, $name: the connection ends");
	like(outcome($t, $id), qr/^allow revoked_credential \d+ partial/, "close, $name: the log says why");
	ok((poll { status(complete(client => 'two-other', max => 1, tokens => 1)) == 200 }),
		"close, $name: its slot is free");
}

my $active = poll { stats(8081)->{active} == 0 };
ok($active, 'close: the engine is told');

# A key that is no longer in the file, or has expired, is revoked, too.

for my $how (qw/removed expired/) {
	restore('two');
	my $id = new_id();
	my $stream = stream('/close', 'two', $id, tokens => 3, hold => 1);
	revoke('two', $how);
	ok(ends($stream), "close, $how: the connection ends");
	like(outcome($t, $id), qr/^allow \w+_credential 200 partial 3$/, "close, $how: the log says why");
}

# What else changes of a key is for the next request, and a broken file changes nothing.

restore('two');
$id = new_id();
$stream = stream('/close', 'two', $id, tokens => 60, delay => 50);
write_keys(two => { client => 'somebody', tier => 'free', description => 'new' });
is(everywhere('/known', 'X-API-Key: key-two'), '200 somebody', 'another client: for the next request');
put('keys.json', '{');
is(scalar(told('keys.json', 1)), 1, 'a broken file: told');
write_keys();
like($stream->peek(sub { $_[0] =~ /\[DONE\]/ }) // '', qr/\[DONE\]/, 'close: the stream runs to its end');
$stream->close();
is(outcome($t, $id), 'allow - 200 measured 60', 'close: as if nothing had been');

# tokens whose key goes

my $one = token_stream('a');
$other = token_stream('b');
put('set.json', key_set('b'));
becomes('401 invalid_token', '/known-token', token('a'), 'a token: its key is gone');
ok(ends($one), 'a token, close: the connection ends');
ok(!is_over($other), 'a token, close: that of another key does not');
$other->close();

# a reload between

restore('two');
$id = new_id();
$stream = stream('/close', 'two', $id, tokens => 5, hold => 1);
reload_and_wait($t);
live_in($t->testdir());
ok(!is_over($stream), 'reload: the stream stays');
revoke('two');
ok(ends($stream), 'reload: it is cut in the old worker, too');
is(outcome($t, $id), 'allow revoked_credential 200 partial 5', 'reload: the log says why');

# HTTP/2

SKIP: {
	skip 'no HTTP/2', 8 unless $has_http2;

	restore('h2');
	my $id = new_id();
	my ($pid, $output) = h2_start($t, h2_stream('/close', 'h2', $id, 'X-Mock-Tokens: 4', 'X-Mock-Hold: 1'));
	ok((poll { ($t->read_file($output) =~ tr/\n//) >= 8 }), 'HTTP/2, close: a stream');
	revoke('h2');
	isnt(wait_for($pid), 0, 'HTTP/2, close: it is cut');
	is(outcome($t, $id), 'allow revoked_credential 200 partial 4', 'HTTP/2, close: the log says why');

	# Of two on one connection.
	my @ids = (new_id(), new_id());
	my $h2 = Tollgate::H2->new(port(8082));
	my ($cut, $whole) = map {
		my ($client, $id, %mock) = @$_;
		$h2->post('/close/v1/completions', '{"model":"mock","prompt":[1],"stream":true}',
			'X-API-Key' => "key-$client", 'X-Request-ID' => $id, %mock);
	} ['h2-multi', $ids[0], 'X-Mock-Tokens' => 4, 'X-Mock-Hold' => 1],
		['h2-multi-other', $ids[1], 'X-Mock-Tokens' => 60, 'X-Mock-Token-Delay-Ms' => 50];
	poll { $h2->receive(); $h2->{data}{$cut} && $h2->{data}{$whole} };
	revoke('h2-multi');
	ok((poll { $h2->receive(); $h2->{reset}{$cut} }), 'HTTP/2, close: one of two streams is cut');
	ok((poll { $h2->receive(); $h2->{ended}{$whole} }), 'HTTP/2, close: the other one runs on');
	like($h2->{data}{$whole}, qr/\[DONE\]/, 'HTTP/2, close: to its end');
	$h2->close();
	is(outcome($t, $ids[0]), 'allow revoked_credential 200 partial 4', 'HTTP/2, close: what the log says of one');
	is(outcome($t, $ids[1]), 'allow - 200 measured 60', 'HTTP/2, close: and of the other one');
}

# the directive

for my $case (['drop', qr/"drop"/], ['', qr/tollgate_on_revoke/], ['close finish', qr/tollgate_on_revoke/]) {
	my ($value, $message) = @$case;
	(my $wrong = $conf) =~ s/tollgate_on_revoke finish;/tollgate_on_revoke $value;/;
	my ($status, $output) = configtest($t, $wrong);
	ok($status != 0, "refused: '$value'");
	like($output, qr/\[emerg\].*$message/, "refused: '$value', and named");
}
(my $twice = $conf) =~ s/tollgate_on_revoke finish;/$& $&/;
my ($status, $output) = configtest($t, $twice);
like($output, qr/\[emerg\].*tollgate_on_revoke.*duplicate/, 'refused: twice');

###############################################################################

# Writes the keys file, and waits until all workers have it: until they know a key that was not there
# before. What else an entry says can be given by client.
sub write_keys {
	my (%changes) = @_;
	my $last = 'last-' . ++$written;
	my @entries = map {
		my $client = $_;
		my %entry = (client => $client, tier => $tier{$client} // 'one');
		my $how = $revoked{$client} // '';
		my %state = $how eq 'disabled' ? (disabled => JSON::PP::true())
			: $how eq 'expired' ? (expires => '2001-01-01T00:00:00Z') : ();
		my $changed = $changes{$client} // {};
		(
			$how eq 'removed' ? () : { id => "k_$client", key => "key-$client", %entry, %state, %$changed },
			{ id => "k_$client-other", key => "key-$client-other", %entry },
		);
	} @clients;
	put('keys.json', keys_file(@entries, { key => "key-$last", client => 'last', tier => 'free' }));
	poll { everywhere('/known', "X-API-Key: key-$last") eq '200 last' }
		or die "A worker does not read the file\n";
}

# Revokes the key of a client.
sub revoke {
	my ($client, $how) = @_;
	$revoked{$client} = $how // 'disabled';
	write_keys();
}

sub restore {
	my ($client) = @_;
	delete $revoked{$client};
	write_keys();
}

# A stream, of which something has come.
sub stream {
	my ($place, $client, $id, %options) = @_;
	my $connection = connection();
	my $head = $connection->ask(completion(uri => "$place/v1/completions", client => $client, stream => 1,
		%options, lines => ["X-Request-ID: $id", 'X-Mock-Token-Delay-Ms: ' . ($options{delay} // 0)]),
		head => 1);
	die "No stream: $head\n" if status($head) != 200;
	my $count = $options{hold} ? $options{tokens} : 1;
	$connection->peek(sub { (() = $_[0] =~ /^data: /mg) >= $count });
	return $connection;
}

sub token {
	my ($name) = @_;
	return 'Authorization: Bearer ' . hs256(secret($name), { sub => $name, exp => time() + 3600 }, kid => $name);
}

sub token_stream {
	my ($name) = @_;
	my $connection = connection();
	my $head = $connection->ask(completion(uri => '/token/v1/completions', hold => 1, tokens => 1,
		lines => [token($name)]), head => 1);
	die "No stream: $head\n" if status($head) != 200;
	return $connection;
}

sub secret {
	my ($name) = @_;
	return $name x 64;
}

sub key_set {
	my (@names) = @_;
	return json({ keys => [map {
		{ kty => 'oct', kid => $_, alg => 'HS256', k => encode_base64url(secret($_)) }
	} @names] });
}

# Whether the connection ends, now or soon.
sub ends {
	my ($connection) = @_;
	$connection->peek(sub { 0 });
	return $connection->{ended};
}

# Whether it has ended by now.
sub is_over {
	my ($connection) = @_;
	while (1) {
		vec(my $readable = '', fileno($connection->{socket}), 1) = 1;
		return 0 unless select($readable, undef, undef, 0);
		my $read = sysread $connection->{socket}, $connection->{buffer}, 65536, length $connection->{buffer};
		return 1 unless $read;
		return 1 if $connection->{buffer} =~ /\[DONE\]/;
	}
}

# What became of the request with this id.
sub outcome {
	my ($t, $id) = @_;
	my ($line) = audited($t, $id);
	return join ' ', map { $line->{$_} // '-' } qw/decision reason status usage output_tokens/;
}

# Whether a request that was sent waits: it gets no answer, while nobody else of its client passes.
sub waits {
	my ($connection) = @_;
	vec(my $readable = '', fileno($connection->{socket}), 1) = 1;
	return !select($readable, undef, undef, 0.2);
}

# The arguments of curl for a stream.
sub h2_stream {
	my ($place, $client, $id, @lines) = @_;
	return ('-sS', '-N', '--max-time', 60, '--http2-prior-knowledge',
		(map { ('-H', $_) } 'Content-Type: application/json', "X-API-Key: key-$client", "X-Request-ID: $id",
			@lines),
		'-d', '{"model":"mock","prompt":[1],"stream":true}',
		'http://127.0.0.1:' . port(8082) . "$place/v1/completions");
}

# Runs curl: its pid, and the file with what it prints.
sub h2_start {
	my ($t, @arguments) = @_;
	my $file = 'h2-' . new_id();
	my $path = $t->testdir() . "/$file";
	$t->write_file($file, '');
	my $pid = fork() // die "Can't fork: $!\n";
	if ($pid == 0) {
		open STDOUT, '>', $path or POSIX::_exit(1);
		open STDERR, '>', '/dev/null' or POSIX::_exit(1);
		exec 'curl', @arguments or POSIX::_exit(1);
	}
	return ($pid, $file);
}

# Its exit status.
sub wait_for {
	my ($pid) = @_;
	waitpid $pid, 0;
	return $? >> 8;
}

###############################################################################
