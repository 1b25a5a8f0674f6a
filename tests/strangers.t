#!/usr/bin/perl

# Floods of strangers: from very many addresses, with wrong keys or without any. They are limited
# all together, and whoever has a key, whatever a rule counts that they can't make up, and whoever comes
# from elsewhere, don't notice. nginx's realip module lets a request come from any address.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/get header keys_file status/;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $t = Test::Nginx->new()->has(qw/http proxy realip/)->plan(37)
	->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    set_real_ip_from 127.0.0.1;
    real_ip_header   X-Real-IP;
    keepalive_requests 100000;

    # Small, so that a thousand addresses are many.
    tollgate_zone zone=tollgate:256k;
    tollgate_endpoints  +*:/*;
    tollgate_tier open { requests 1000r/s; concurrency 4; }

    tollgate_limit everybody key=all requests=1000r/s concurrency=50;
    tollgate_limit tenant    key=$tollgate_client requests=1000r/s;
    tollgate_limit guesses   key=$binary_remote_addr auth_failures=3r/h;
    tollgate_limit named     key=$http_x_name auth_failures=3r/h;
    tollgate_limit anonymous key=$binary_remote_addr requests=2r/h;
    tollgate_limit made_up   key=$http_x_name requests=2r/h;

    tollgate_audit_log %%TESTDIR%%/audit.log;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;

        location / {
            tollgate_apply everybody tenant guesses;
            proxy_pass http://127.0.0.1:8081;
        }

        location /named {
            tollgate_apply named;
            proxy_pass http://127.0.0.1:8081;
        }

        location /anonymous {
            tollgate_auth none;
            tollgate_apply anonymous everybody;
            proxy_pass http://127.0.0.1:8081;
        }

        location /made-up {
            tollgate_auth none;
            tollgate_apply made_up everybody;
            proxy_pass http://127.0.0.1:8081;
        }

        location /by-address {
            tollgate_apply anonymous everybody;
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

$t->write_file('keys.json', keys_file(
	map { { key => "key-$_", client => "client-$_", tier => 'open' } } 0 .. 20
));
$t->run();

# Random, and always the same.
srand 7;
my %flood = (
	'one /48' => sub { sprintf '2001:db8:7:%x::1', $_[0] },
	'one /32' => sub { sprintf '2001:db8:%x:%x::1', map { int rand 65536 } 1 .. 2 },
	'everywhere' => sub { sprintf '2%03x:%x:%x:%x::1', map { int rand($_) } 4096, (65536) x 3 },
	'all of IPv4' => sub { join '.', map { int rand 256 } 1 .. 4 },
);

###############################################################################

# wrong keys

# All clients, and all rules, have a slot that is idle.
clients('at first');

for my $from ('one /48', 'one /32') {
	my %seen = flood('/', $from, 'X-API-Key: wrong');
	is(others(\%seen, 401), '', "wrong keys from $from: refused, and for nothing else");
	cmp_ok($seen{401} // 0, '<', 200, "wrong keys from $from: most are not looked at any more");
	clients("wrong keys from $from");
	is(status(get('/', from('192.0.2.1'), 'X-API-Key: key-1')), 200,
		"wrong keys from $from: a good one from elsewhere");
	my $address = $from eq 'one /48' ? '203.0.113.7' : '198.51.100.7';
	my @one = map { status(get('/', from($address), 'X-API-Key: wrong')) } 1 .. 5;
	is("@one", '401 401 401 429 429', "wrong keys from $from: elsewhere counted as ever");
}

is(status(get('/', from('2001:db8:7:ffff::1'), 'X-API-Key: key-1')), 429,
	'the network of the flood is refused, with a good key as well');
is(status(get('/', from('2001:db9:7:ffff::1'), 'X-API-Key: key-1')), 200, 'and no other one');

for my $from ('everywhere', 'all of IPv4') {
	my %seen = flood('/', $from, 'X-API-Key: wrong');
	is(others(\%seen, 401), '', "wrong keys from $from: refused, and for nothing else");
	cmp_ok($seen{401} // 0, '<', 700, "wrong keys from $from: counted together in the end");
	clients("wrong keys from $from");
	# Whoever it is: there is no room to know it.
	is(status(get('/', from('198.18.7.7'), 'X-API-Key: wrong')), 429,
		"wrong keys from $from: one more, from a new address");
	is(status(get('/', from('198.18.7.7'), 'X-API-Key: key-1')), 200,
		"wrong keys from $from: a good one from there");
}

my %seen = flood('/named', 'everywhere', 'X-API-Key: wrong', sub { "X-Name: $_[0]" });
is(others(\%seen, 401), '', 'wrong keys under made-up names');
cmp_ok($seen{401} // 0, '<', 500, 'wrong keys under made-up names: counted together in the end');
clients('wrong keys under made-up names');

# no keys

%seen = flood('/anonymous', 'everywhere');
is(others(\%seen, 200), '', 'no keys: let in, or limited');
cmp_ok($seen{200} // 0, '<', 900, 'no keys: limited together in the end');
clients('no keys');
my $client = join ' ',
	map { status(get('/by-address', from('198.18.8.8'), 'X-API-Key: key-2')) } 1 .. 3;
is($client, '200 200 429', 'no keys: a client whose address has no room is counted by its name');
is(status(get('/by-address', from('198.18.8.8'), 'X-API-Key: key-3')), 200,
	'no keys: and so is another one') or diag(explain((audit_lines($t, 'audit.log'))[-1]));

%seen = flood('/made-up', 'everywhere', sub { "X-Name: $_[0]" });
is(others(\%seen, 200), '', 'made-up names: let in, or limited');
cmp_ok($seen{200} // 0, '<', 700, 'made-up names: limited together in the end');
clients('made-up names');

# what is said of it

like($t->read_file('error.log'), qr/counts all for whom "guesses" has no room together/,
	'the error log says so');
my %reasons = map { ($_->{reason} // '') => 1 } audit_lines($t, 'audit.log');
ok(!$reasons{zone_full}, 'nobody was refused for want of room');
ok($reasons{auth_failures_exceeded}, 'failures that were not looked at are in the audit log');

###############################################################################

# The statuses of a thousand requests from as many addresses, each with how many there were. A sub gives
# the line of the nth one.
sub flood {
	my ($uri, $from, @lines) = @_;
	my $connection = connection();
	my %seen;
	for my $batch (0 .. 49) {
		my @requests = map {
			my $n = $batch * 20 + $_;
			request($uri, from($flood{$from}->($n)), map { ref $_ ? $_->($n) : $_ } @lines)
		} 1 .. 20;
		$connection->send(join '', @requests);
		$seen{status($connection->answer()) // 'none'}++ for @requests;
	}
	return %seen;
}

# The statuses that are neither this one nor 429.
sub others {
	my ($seen, $status) = @_;
	return join ' ', grep { $_ ne $status && $_ ne 429 } sort keys %$seen;
}

# One test: all clients pass.
sub clients {
	my ($name) = @_;
	my $connection = connection();
	my $passed = grep {
		my $key = "X-API-Key: key-$_";
		status($connection->ask(request('/', from('192.0.2.200'), $key))) == 200
	} 0 .. 20;
	is($passed, 21, "$name: all clients pass");
}

sub from {
	my ($address) = @_;
	return "X-Real-IP: $address";
}

###############################################################################
