#!/usr/bin/perl

# "nginx -t" warns of a page for operators exactly where somebody whom nobody knows gets it.

use warnings;
use strict;

use Test::More;
use Test::Nginx;

use FindBin;
use lib "$FindBin::Bin/lib";
use Tollgate qw/ keys_file status /;
use Tollgate::Conf;

use IO::Socket::INET;

select STDERR; $| = 1;
select STDOUT; $| = 1;

# What guards a page, and what only looks as if it did.
my @guarded = (
	'allow 127.0.0.1; deny all;',
	'deny all; allow all;',
	'allow 127.0.0.1; deny 0.0.0.0/0;',
	'deny 0.0.0.0/1; deny 128.0.0.0/1;',
	'allow unix:; allow 10.0.0.0/8; deny all;',
	'satisfy any; allow 127.0.0.1; deny all; auth_basic pages; auth_basic_user_file users;',
	'satisfy any; allow 127.0.0.1; auth_basic pages; auth_basic_user_file users;',
	'satisfy all; allow all; auth_basic pages; auth_basic_user_file users;',
	'auth_basic pages; auth_basic_user_file users;',
	'auth_request /denied;',
	'tollgate on;',
	'tollgate on; tollgate_auth none; tollgate_apply each;',
	'tollgate on; tollgate_dry_run on;',
	'satisfy any; deny all; tollgate on;',
	'internal;',
);
my @open = (
	'',
	'allow all;',
	'allow all; deny all;',
	'deny 192.0.2.1;',
	'allow 127.0.0.1;',
	'allow 0.0.0.0/1; allow 128.0.0.0/1; deny all;',
	'deny ::/0;',
	'deny unix:;',
	'satisfy any; allow all; auth_basic pages; auth_basic_user_file users;',
	'satisfy any; allow all; tollgate on;',
	'satisfy any; allow 127.0.0.1;',
	'auth_basic off; auth_basic_user_file users;',
	'auth_request off;',
	'limit_except GET { deny all; }',
);
my @forms = (@guarded, @open);

my $t = Test::Nginx->new()->has(qw/http access auth_basic auth_request rewrite/)->plan(2 * @forms);

my $locations = join '', map { location("= /page-$_", $forms[$_]) } 0 .. $#forms;
$t->write_file('keys.json', keys_file({ key => 'key-one', client => 'one', tier => 'free' }));
$t->write_file('users', 'nobody:{PLAIN}nothing');
$t->write_file_expand('nginx.conf', <<'EOF' =~ s/LOCATIONS/$locations/r);

%%TEST_GLOBALS%%

daemon off;

events {
}

http {
    %%TEST_GLOBALS_HTTP%%

    tollgate_zone      zone=tollgate:1m;
    tollgate_tier      free { }
    tollgate_limit     each key=$remote_addr requests=1000r/s;
    tollgate_api_keys  keys.json;

    server {
        listen       127.0.0.1:8080;
        server_name  localhost;

        LOCATIONS

        location = /denied {
            internal;
            return  401;
        }
    }
}

EOF
$t->run();

for my $number (0 .. $#forms) {
	my $form = $forms[$number];
	my $status = status(ask("/page-$number")) // 'none';
	if ($number < @guarded) {
		like($status, qr/^40[134]$/, "nobody gets it: $form");
		ok(!is_told($t, $form), "and of that nobody is warned: $form");
	} else {
		is($status, 200, "everybody gets it: '$form'");
		ok(is_told($t, $form), "and of that one is warned: '$form'");
	}
}

###############################################################################

sub location {
	my ($name, $form) = @_;
	return "location $name {\ntollgate_metrics;\n$form\n}\n";
}

# From elsewhere than 127.0.0.1, which some of the lists let in.
sub ask {
	my ($uri) = @_;
	my $socket = IO::Socket::INET->new(
		Proto => 'tcp', LocalAddr => '127.0.0.2', PeerAddr => '127.0.0.1', PeerPort => port(8080),
	) or die "Can't connect: $!\n";
	return http("GET $uri HTTP/1.0\r\nHost: localhost\r\n\r\n", socket => $socket);
}

sub is_told {
	my ($t, $form) = @_;
	my $http = "$usual{http}\ntollgate_limit each key=\$remote_addr requests=1000r/s;";
	my $server = "tollgate_api_keys keys.json;\n" . location('= /page', $form);
	my ($status, $output) = nginx_t($t, http => $http, server => $server);
	die "nginx -t refuses it: $output\n" if $status;
	return $output =~ /\[warn\].*"tollgate_metrics" shows to everybody/;
}

###############################################################################
