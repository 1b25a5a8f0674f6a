#!/usr/bin/perl

# "tollgate doctor" of an nginx that runs: nothing is found where nothing is wrong; what is planted is found, with its
# line; and what nginx says itself is told.

use warnings;
use strict;

use Test::More;

use JSON::PP qw//;

use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file /;
use Tollgate::Client;

select STDERR; $| = 1;
select STDOUT; $| = 1;

my $cli = $ENV{TOLLGATE_CLI};
plan(skip_all => 'TOLLGATE_CLI is not set') unless defined $cli;

# The machine's business, and the harness's: it has nginx write all that it does, into files with the rights of any.
my @others = map { ('--ignore', $_) } qw/clock debug-log world-readable/;

my $t = Test::Nginx->new()->has(qw/http proxy rewrite upstream_zone/)->has_daemon('curl')->plan(18);
my $d = $t->testdir();

$t->write_file_expand('nginx.conf', <<'EOF');

%%TEST_GLOBALS%%

daemon off;
worker_processes 2;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    include more/*.conf;

    tollgate_zone zone=tollgate:1m;
    tollgate_tier pro { requests 100r/m; }

    upstream engine {
        zone engine 64k;
        server 127.0.0.1:8081;
        server 127.0.0.1:8082 backup;
        keepalive 4;
    }

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        tollgate on;
        tollgate_api_keys keys.json;
        tollgate_audit_log %%TESTDIR%%/audit.log;

        client_max_body_size 16m;
        client_body_buffer_size 1m;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 10m;

        location / {
            proxy_pass http://engine;
        }
    }
}

EOF

# What looks like the head of a file in what "nginx -T" prints.
my $head = "# configuration file /somewhere/else.conf:\n";

mkdir "$d/more" or die "Can't make a folder: $!\n";
$t->write_file('more/a.conf', $head . q{log_format plain '$remote_addr';} . "\n");
write_keys($t);
$t->run();

###############################################################################

my ($status, $report) = doctor($d, @others);
is_deeply($report->{findings}, [], 'good: nothing is found');
is($status, 0, 'good: status');
like($report->{nginx}, qr/^\d+\.\d+\.\d+$/, 'version');

# Who asks without a key is refused, or the doctor says so.
($status, $report) = doctor($d, @others, '--url', 'http://127.0.0.1:' . port(8080));
is_deeply([names($report)], [], 'a stranger is refused');
($status, $report) = doctor($d, @others, '--url', 'http://127.0.0.1:' . port(8083));
is_deeply([names($report), $status], ['probe', 2], 'nobody answers a stranger');

# One mistake at a time, in a configuration that isn't in force: the check, the status, and the line.
my $good = $t->read_file('nginx.conf');
is(planted($t, sub { s/proxy_buffering off;// }), 'buffering 1 server {', 'buffering');
# From 1.29.7 on, nginx keeps connections unless it is told otherwise.
my ($major, $minor, $patch) = split /\./, $report->{nginx};
my $closes = $major == 1 && ($minor < 29 || $minor == 29 && $patch < 7);
is(planted($t, sub { s/location \/ \{/location \/ { proxy_set_header X-A b;/ }),
	$closes ? 'connection-close 1 location / { proxy_set_header X-A b;' : '0 ',
	'a header that puts the others out of force');
is(planted($t, sub { s/zone engine 64k;// }), 'upstream-zone 1 upstream engine {', 'upstream without a zone');
is(planted($t, sub { s/(server 127\.0\.0\.1:\d+) backup/$1 fail_timeout=12h/ }), 'fail-timeout 1 server',
	'fail_timeout');
is(planted($t, sub { s/tollgate on;/tollgate on; tollgate_dry_run on;/ }),
	'dry-run 0 tollgate on; tollgate_dry_run on;', 'dry run');
is(planted($t, sub { s/tollgate_tier/tollgate_limit idle key=\$binary_remote_addr requests=1r\/s; tollgate_tier/ }),
	'nginx 1 tollgate_limit idle', 'what has no effect, as nginx says');
is(planted($t, sub { s/tollgate on;/tollgate on; tollgate_nonsense on;/ }),
	'module 2 tollgate on; tollgate_nonsense on;', 'a directive that the module lacks');
is(planted($t, sub { s/tollgate on;/tollgate on; nonsense on;/ }), 'nginx 2 tollgate on; nonsense on;',
	'one that nginx lacks');

# In a file that is included.
$t->write_file('more/a.conf', $head . q{log_format keys '$http_authorization';} . "\naccess_log $d/keys.log keys;\n");
($status, $report) = doctor($d, @others);
is_deeply([names($report), $status], ['logged-keys', 2], 'keys in a log');
is($report->{findings}[0]{file}, "$d/more/a.conf", 'in the file where that stands');
is($report->{findings}[0]{line}, 2, 'and the line');
$t->write_file('more/a.conf', '');

# Who may read it. (The folder of the test may be closed to others.)
my $mode = (stat $d)[2] & 07777;
chmod 0755, $d;
chmod 0644, "$d/keys.json";
($status, $report) = doctor($d);
my ($found) = grep { $_->{check} eq 'world-readable' && $_->{what} =~ /keys/ } @{$report->{findings}};
is($found->{mend}[0], "chmod o-rwx $d/keys.json", 'a file that everybody can read, and what mends it');
chmod 0640, "$d/keys.json";
chmod $mode, $d;

# What the nginx that runs has not taken.
$t->write_file('keys.json', '{"version": 1, "keys": [');
my $is_refused = poll {
	my (undef, $r) = doctor($d, @others);
	scalar grep { $_ eq 'refused-keys' } names($r);
};
ok($is_refused, 'keys that nginx refuses');
write_keys($t);

###############################################################################

# The status of the doctor, and what it says.
sub doctor {
	my ($dir, @arguments) = @_;
	my @command = ($cli, 'doctor', '--json', '--nginx', $ENV{TEST_NGINX_BINARY}, '--config', "$dir/nginx.conf",
		'--prefix', "$dir/", @arguments);
	open(my $output, '-|', @command) // die "Can't run $cli: $!\n";
	local $/;
	my $json = <$output>;
	close $output;
	return ($? >> 8, JSON::PP->new->utf8->decode($json));
}

sub names {
	my ($report) = @_;
	return map { $_->{check} } @{$report->{findings}};
}

sub write_keys {
	my ($t) = @_;
	$t->write_file('keys.json', keys_file({ client => 'acme', tier => 'pro', key => 'key-of-acme' }));
	chmod 0640, $t->testdir() . '/keys.json';
}

# What is found when this is done to the configuration: the checks, the status, and how the first line begins.
sub planted {
	my ($t, $change) = @_;
	local $_ = $good;
	$change->() or die "Nothing was planted\n";
	my $conf = $_;
	$t->write_file('nginx.conf', $conf);
	my ($status, $report) = doctor($t->testdir(), @others);
	$t->write_file('nginx.conf', $good);
	# Not $report->{findings}[0]{line}, which would make a finding where there is none.
	my ($first) = @{ $report->{findings} };
	my $line = $first ? $first->{line} // 0 : 0;
	my ($text) = (('', split /\n/, $conf)[$line] // '') =~ /^\s*(.*?)\s*$/;
	$text =~ s/ 127.*| key=.*//;
	return join ' ', names($report), $status, $text;
}

###############################################################################
