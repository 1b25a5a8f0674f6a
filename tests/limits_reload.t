#!/usr/bin/perl

# Limits live in shared memory, so they outlive a reload, and a changed rate holds at once for clients
# that were there before. What was used stays used.

use warnings;
use strict;

use Test::More;
use Test::Nginx qw/ :DEFAULT http_start http_end /;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

use IO::Select;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy/)->plan(44);

my $conf = <<'EOF';

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone zone=tollgate:1m;
    tollgate_endpoints  +*:/*;
    tollgate_tier tier { requests 10r/h; }
    tollgate_tier quick { requests 1r/h; }
    tollgate_tier many { requests 2r/h burst=10000; }
    tollgate_limit rule key=all requests=5r/h;

    tollgate_audit_log audit.log buffer=64k flush=1h;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            proxy_pass http://127.0.0.1:8081;
        }

        location /rule {
            tollgate_apply rule;
            proxy_pass http://127.0.0.1:8081;
        }

        location /slow {
            proxy_buffering off;
            proxy_pass http://127.0.0.1:8082;
        }
    }

    server {
        listen       127.0.0.1:8081;
        server_name  localhost;
        return       200 ENGINE;
    }
}

EOF

$t->write_file_expand('nginx.conf', $conf);
$t->write_file('keys.json', keys_file(
	(map { { key => "key-$_", client => $_, tier => 'tier' } } qw/one spent slow rule/),
	{ key => 'key-quick', client => 'quick', tier => 'quick' },
	{ key => 'key-many', client => 'many', tier => 'many' },
));
$t->run_daemon(\&slow_daemon, port(8082), $t->testdir());
$t->run();
$t->waitforsocket('127.0.0.1:' . port(8082));

###############################################################################

is(remaining('one'), 10 - $_, "request $_ of 10") for 1 .. 4;
remaining('spent') for 1 .. 10;
remaining('quick');
is(status(get('/', 'X-API-Key: key-spent')), 429, 'a spent client');
get('/rule', 'X-API-Key: key-rule') for 1 .. 5;
is(status(get('/rule', 'X-API-Key: key-rule')), 429, 'a spent rule');

# the same configuration

reload_and_wait($t);
is(remaining('one'), 5, 'reload: what was used stays used');
is(status(get('/', 'X-API-Key: key-spent')), 429, 'reload: who was refused is refused');
is(status(get('/rule', 'X-API-Key: key-rule')), 429, 'reload: a rule');

# other rates

change($t, '10r/h', '20r/h');
is(remaining('one'), 14, 'a raised rate: 6 of 20');
is(remaining('spent'), 9, 'a raised rate: 11 of 20, for whom there was nothing left');

change($t, '20r/h', '8r/h');
is(remaining('one'), 1, 'a lowered rate: 7 of 8');
my $r = get('/', 'X-API-Key: key-spent');
is(status($r), 429, 'a lowered rate: 11 of 8');
cmp_ok(header($r, 'retry-after-ms'), '<=', 720_000,
	'a lowered rate: until 4 of 11 are refilled, as they would have been');

change($t, '8r/h', '8r/h burst=12');
is(remaining('one'), 4, 'a larger burst: 8 of 12');
change($t, '8r/h burst=12', '1r/h burst=12');
is(remaining('one'), 3, 'a slower refill: 9 of 12');
change($t, '1r/h burst=12', '100r/h burst=9');
is(status(get('/', 'X-API-Key: key-one')), 429, 'a smaller burst, a faster refill: 9 of 9');
change($t, '100r/h burst=9', '10r/h');
is(remaining('one'), 0, 'back again: 10 of 10');

# The bucket of a spent client is refilled at the new rate, and its refusals say so.
change($t, 'quick { requests 1r/h', 'quick { requests 7200r/h burst=1');
$r = get('/', 'X-API-Key: key-quick');
cmp_ok(header($r, 'retry-after-ms') // 0, '<=', 500, 'a faster refill: half a second');
ok(poll { status(get('/', 'X-API-Key: key-quick')) == 200 }, 'a faster refill: it is true');

change($t, 'rule key=all requests=5r/h', 'rule key=all requests=7r/h');
is(status(get('/rule', 'X-API-Key: key-many')), 200, 'a rule with a raised rate');

# A period has a bucket of its own.
change($t, '10r/h', '10r/d');
is(remaining('one'), 9, 'another period starts full');
change($t, '10r/d', '10r/h');
is(status(get('/', 'X-API-Key: key-one')), 429, 'the one before was not forgotten');

# a configuration that comes to nothing

refuse($t, qr/unknown directive "no_such_directive"/, sub { s/tollgate on;/no_such_directive;/ });
is(status(get('/', 'X-API-Key: key-one')), 429, 'a syntax error disturbs nobody');

refuse($t, qr/names no limit/, sub { s/apply rule/apply roule/; s/10r\/h/500r\/h/ });
is(status(get('/', 'X-API-Key: key-one')), 429, 'nor does a mistake that we refuse');

# nginx can't listen on somebody else's address; by then it has made the zones.
refuse($t, qr/bind\(\) to 192\.0\.2\.1/,
	sub { s/listen  /listen 192.0.2.1:8080; listen /; s/10r\/h/500r\/h/ });
is(status(get('/', 'X-API-Key: key-one')), 429, 'nor one that shows only later');

refuse($t, qr/bind\(\) to 192\.0\.2\.1/,
	sub { s/listen  /listen 192.0.2.1:8080; listen /; s/:1m/:2m/ });
is(status(get('/', 'X-API-Key: key-one')), 429, 'nor one with a zone of another size');
is(remaining('many'), 9998, 'who has something left still has it');

# without interruption

my (@wrong, @before);
for my $n (1 .. 200) {
	if ($n % 50 == 25) {
		wait_for_new($t, @before);
		@before = workers($t);
		$t->reload();
	}
	my $left = remaining('many');
	push @wrong, "$n: $left" if $left != 9998 - $n;
}
is("@wrong", '', '200 requests during four reloads');
wait_for_new($t, @before);
reload_and_wait($t);
is(remaining('many'), 9797, 'and each was counted once');

# a response across a reload

my $slow = http_start(request('/slow/1', 'X-API-Key: key-slow', 'Connection: close'));
$t->waitforfile($t->testdir() . '/slow.1');

my @old = change($t, '10r/h', '30r/h');
is(remaining('slow'), 28, 'across a reload: the request counts for new workers');

$t->write_file('release.1', '');
$r = http_end($slow);
is(status($r), 200, 'across a reload: the response');
like($r, qr/FIRST.*SECOND/s, 'across a reload: all of it');
is(header($r, 'x-ratelimit-limit-requests'), 10, 'across a reload: as it was judged');
ok(poll { !grep { kill 0, $_ } @old }, 'the old worker goes when it is done');

# and one whose client goes away meanwhile

$slow = http_start(request('/slow/2', 'X-API-Key: key-slow'));
$t->waitforfile($t->testdir() . '/slow.2');
@old = reload_and_wait($t);
close $slow;
ok(poll { !grep { kill 0, $_ } @old }, 'the old worker goes when its client has gone');

# another zone

change($t, 'tollgate:1m', 'tollgate:2m');
is(remaining('many'), 9999, 'a zone of another size starts empty');
change($t, 'tollgate:2m', 'tollgate:1m');
is(remaining('many'), 9999, 'and so does one of the first size again');
change($t, 'zone=tollgate:', 'zone=other:');
is(remaining('many'), 9999, 'or one of another name');

# the log has each of them once

$t->stop();

my %line;
push @{$line{$_->{path}}}, $_ for audit_lines($t, 'audit.log');
is(scalar @{$line{'/slow/1'}}, 1, 'across a reload: one line');
is($line{'/slow/1'}[0]{status}, 200, 'across a reload: its status');
is($line{'/slow/1'}[0]{limit}, 'requests 10r/h', 'across a reload: the limit that it had');
is(scalar @{$line{'/slow/2'}}, 1, 'client gone: one line');
is($line{'/slow/2'}[0]{status}, 200, 'client gone: the status that it was sent');

###############################################################################

sub remaining {
	my ($client) = @_;
	return header(get('/', "X-API-Key: key-$client"), 'x-ratelimit-remaining-requests');
}

# Reloads with another configuration from now on.
sub change {
	my ($t, $from, $to) = @_;
	$conf =~ s/\Q$from\E/$to/ or die "No '$from' in nginx.conf\n";
	$t->write_file_expand('nginx.conf', $conf);
	return reload_and_wait($t);
}

# Reloads with a configuration that nginx refuses, saying that.
sub refuse {
	my ($t, $message, $edit) = @_;
	local $_ = $conf;
	$edit->();
	$t->write_file_expand('nginx.conf', $_);

	my $count = sub { scalar(() = $t->read_file('error.log') =~ /\[emerg\].*$message/g) };
	my $before = $count->();
	$t->reload();
	poll { $count->() > $before } or die "nginx takes a wrong configuration\n";
	$t->write_file_expand('nginx.conf', $conf);
}

# A server that sends a part of its answer, and the rest when a file appears.
sub slow_daemon {
	my ($port, $dir) = @_;

	my $server = IO::Socket::INET->new(
		Proto => 'tcp',
		LocalAddr => "127.0.0.1:$port",
		Listen => 5,
		ReuseAddr => 1
	)
		or die "Can't create listening socket: $!\n";

	local $SIG{PIPE} = 'IGNORE';

	while (my $client = $server->accept()) {
		my $n;
		while (<$client>) {
			$n = $1 if /slow\/(\d+)/;
			last if /^\x0d?\x0a?$/;
		}
		next unless defined $n;

		$client->autoflush();
		print $client "HTTP/1.1 200 OK\x0d\x0aConnection: close\x0d\x0a\x0d\x0aFIRST ";

		open my $file, '>', "$dir/slow.$n" or die "Can't create slow.$n: $!\n";
		close $file;

		my $hung_up = IO::Select->new($client);
		until (-e "$dir/release.$n" or $hung_up->can_read(0.02)) {
		}
		print $client 'SECOND';
		close $client;
	}
}

###############################################################################
