/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vm_region and vm_region_recurse: one region in the layout that the caller asks
 * for. Nothing is written before all is known to be well.
 */
#include <mach/mach.h>
#include <mach/mach_vm.h>
#include <stddef.h>
#include <string.h>

#include "_cgo_export.h"

typedef struct machcompat_region region_t;

static void fill_basic(struct vm_region_basic_info *info, const region_t *r)
{
	info->protection = r->protection;
	info->max_protection = r->max_protection;
	info->inheritance = r->inheritance;
	info->shared = (boolean_t)r->shared;
	info->reserved = (boolean_t)r->reserved;
	info->offset = (uint32_t)r->offset;
	info->behavior = r->behavior;
	info->user_wired_count = (unsigned short)r->wired;
}

static void fill_basic_64(struct vm_region_basic_info_64 *info, const region_t *r)
{
	info->protection = r->protection;
	info->max_protection = r->max_protection;
	info->inheritance = r->inheritance;
	info->shared = (boolean_t)r->shared;
	info->reserved = (boolean_t)r->reserved;
	info->offset = r->offset;
	info->behavior = r->behavior;
	info->user_wired_count = (unsigned short)r->wired;
}

static void fill_extended(struct vm_region_extended_info *info, const region_t *r)
{
	info->protection = r->protection;
	info->user_tag = r->user_tag;
	info->pages_resident = r->resident;
	info->pages_shared_now_private = r->copied;
	info->pages_swapped_out = r->swapped;
	info->pages_dirtied = r->dirtied;
	info->ref_count = 1;
	info->external_pager = r->external_pager;
	info->share_mode = r->share_mode;
}

static void fill_top(struct vm_region_top_info *info, const region_t *r)
{
	unsigned int private_pages = r->shared ? 0 : r->external_pager ? r->copied : r->resident;

	info->obj_id = (unsigned int)r->object;
	info->ref_count = 1;
	info->private_pages_resident = private_pages;
	info->shared_pages_resident = r->resident - private_pages;
	info->share_mode = r->share_mode;
}

static void fill_submap(struct vm_region_submap_info *info, const region_t *r)
{
	info->protection = r->protection;
	info->max_protection = r->max_protection;
	info->inheritance = r->inheritance;
	info->offset = (uint32_t)r->offset;
	info->user_tag = r->user_tag;
	info->pages_resident = r->resident;
	info->pages_shared_now_private = r->copied;
	info->pages_swapped_out = r->swapped;
	info->pages_dirtied = r->dirtied;
	info->ref_count = 1;
	info->external_pager = r->external_pager;
	info->share_mode = r->share_mode;
	info->behavior = r->behavior;
	info->object_id = (vm32_object_id_t)r->object;
	info->user_wired_count = (unsigned short)r->wired;
}

static void fill_submap_64(struct vm_region_submap_info_64 *info, const region_t *r)
{
	info->protection = r->protection;
	info->max_protection = r->max_protection;
	info->inheritance = r->inheritance;
	info->offset = r->offset;
	info->user_tag = r->user_tag;
	info->pages_resident = r->resident;
	info->pages_shared_now_private = r->copied;
	info->pages_swapped_out = r->swapped;
	info->pages_dirtied = r->dirtied;
	info->ref_count = 1;
	info->external_pager = r->external_pager;
	info->share_mode = r->share_mode;
	info->behavior = r->behavior;
	info->object_id = (vm32_object_id_t)r->object;
	info->user_wired_count = (unsigned short)r->wired;
	info->object_id_full = r->object;
}

static void fill_submap_short_64(struct vm_region_submap_short_info_64 *info, const region_t *r)
{
	info->protection = r->protection;
	info->max_protection = r->max_protection;
	info->inheritance = r->inheritance;
	info->offset = r->offset;
	info->user_tag = r->user_tag;
	info->ref_count = 1;
	info->external_pager = r->external_pager;
	info->share_mode = r->share_mode;
	info->behavior = r->behavior;
	info->object_id = (vm32_object_id_t)r->object;
	info->user_wired_count = (unsigned short)r->wired;
}

/* The layouts, and how many ints each has. */
enum layout { BASIC, BASIC_64, EXTENDED, TOP, SUBMAP, SUBMAP_64, SUBMAP_SHORT_64 };

static void fill(int *info, enum layout layout, mach_msg_type_number_t ints, const region_t *r)
{
	union {
		struct vm_region_basic_info basic;
		struct vm_region_basic_info_64 basic_64;
		struct vm_region_extended_info extended;
		struct vm_region_top_info top;
		struct vm_region_submap_info submap;
		struct vm_region_submap_info_64 submap_64;
		struct vm_region_submap_short_info_64 submap_short_64;
	} any;

	memset(&any, 0, sizeof any);
	switch (layout) {
	case BASIC:
		fill_basic(&any.basic, r);
		break;
	case BASIC_64:
		fill_basic_64(&any.basic_64, r);
		break;
	case EXTENDED:
		fill_extended(&any.extended, r);
		break;
	case TOP:
		fill_top(&any.top, r);
		break;
	case SUBMAP:
		fill_submap(&any.submap, r);
		break;
	case SUBMAP_64:
		fill_submap_64(&any.submap_64, r);
		break;
	case SUBMAP_SHORT_64:
		fill_submap_short_64(&any.submap_short_64, r);
		break;
	}
	/* info need not be aligned as the struct is. */
	memcpy(info, &any, ints * sizeof(int));
}

/* The region at or above *address, of which no address is above limit. */
static kern_return_t find(vm_map_read_t task, uint64_t address, uint64_t limit, int count_pages, region_t *r)
{
	kern_return_t kr;

	if (machcompat_in_child())
		return MACH_SEND_INVALID_DEST;
	kr = machcompatRegion(task, address, count_pages, r);
	if (kr == KERN_SUCCESS && (r->start > limit || r->size > limit))
		return KERN_INVALID_ADDRESS;
	return kr;
}

static kern_return_t region(vm_map_read_t task, uint64_t address, uint64_t limit, vm_region_flavor_t flavor,
	vm_region_info_t info, mach_msg_type_number_t *count, mach_port_t *object_name, region_t *r)
{
	mach_msg_type_number_t ints;
	enum layout layout;
	kern_return_t kr;

	switch (flavor) {
	case VM_REGION_BASIC_INFO:
		layout = BASIC;
		ints = VM_REGION_BASIC_INFO_COUNT;
		break;
	case VM_REGION_BASIC_INFO_64:
		layout = BASIC_64;
		ints = VM_REGION_BASIC_INFO_COUNT_64;
		break;
	case VM_REGION_EXTENDED_INFO:
		layout = EXTENDED;
		ints = VM_REGION_EXTENDED_INFO_COUNT;
		break;
	case VM_REGION_TOP_INFO:
		layout = TOP;
		ints = VM_REGION_TOP_INFO_COUNT;
		break;
	default:
		return KERN_INVALID_ARGUMENT;
	}
	if (info == NULL || count == NULL || *count < ints)
		return KERN_INVALID_ARGUMENT;
	kr = find(task, address, limit, layout == EXTENDED || layout == TOP, r);
	if (kr != KERN_SUCCESS)
		return kr;
	fill(info, layout, ints, r);
	*count = ints;
	if (object_name != NULL)
		*object_name = MACH_PORT_NULL;
	return KERN_SUCCESS;
}

kern_return_t mach_vm_region(vm_map_read_t task, mach_vm_address_t *address, mach_vm_size_t *size,
	vm_region_flavor_t flavor, vm_region_info_t info, mach_msg_type_number_t *count, mach_port_t *object_name)
{
	region_t r;
	kern_return_t kr;

	if (address == NULL || size == NULL)
		return KERN_INVALID_ARGUMENT;
	if (flavor == VM_REGION_BASIC_INFO)
		flavor = VM_REGION_BASIC_INFO_64;
	kr = region(task, *address, UINT64_MAX, flavor, info, count, object_name, &r);
	if (kr == KERN_SUCCESS) {
		*address = r.start;
		*size = r.size;
	}
	return kr;
}

kern_return_t vm_region(vm_map_read_t task, vm_address_t *address, vm_size_t *size, vm_region_flavor_t flavor,
	vm_region_info_t info, mach_msg_type_number_t *count, mach_port_t *object_name)
{
	region_t r;
	kern_return_t kr;

	if (address == NULL || size == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = region(task, *address, UINTPTR_MAX, flavor, info, count, object_name, &r);
	if (kr == KERN_SUCCESS) {
		*address = (vm_address_t)r.start;
		*size = (vm_size_t)r.size;
	}
	return kr;
}

kern_return_t vm_region_64(vm_map_read_t task, vm_address_t *address, vm_size_t *size, vm_region_flavor_t flavor,
	vm_region_info_t info, mach_msg_type_number_t *count, mach_port_t *object_name)
{
	if (flavor == VM_REGION_BASIC_INFO)
		flavor = VM_REGION_BASIC_INFO_64;
	return vm_region(task, address, size, flavor, info, count, object_name);
}

static kern_return_t recurse(vm_map_read_t task, uint64_t address, uint64_t limit, natural_t *nesting_depth, int wide,
	vm_region_recurse_info_t info, mach_msg_type_number_t *count, region_t *r)
{
	static const uint32_t wide_counts[] = { VM_REGION_SUBMAP_INFO_V2_COUNT_64, VM_REGION_SUBMAP_INFO_V1_COUNT_64,
		VM_REGION_SUBMAP_INFO_V0_COUNT_64, VM_REGION_SUBMAP_SHORT_INFO_COUNT_64, 0 };
	static const uint32_t narrow_counts[] = { VM_REGION_SUBMAP_INFO_COUNT, 0 };
	mach_msg_type_number_t ints;
	enum layout layout;
	kern_return_t kr;

	if (nesting_depth == NULL || info == NULL || count == NULL)
		return KERN_INVALID_ARGUMENT;
	ints = machcompat_fitting(wide ? wide_counts : narrow_counts, *count);
	layout = !wide ? SUBMAP : ints == VM_REGION_SUBMAP_SHORT_INFO_COUNT_64 ? SUBMAP_SHORT_64 : SUBMAP_64;
	if (ints == 0)
		return KERN_INVALID_ARGUMENT;
	kr = find(task, address, limit, layout != SUBMAP_SHORT_64, r);
	if (kr != KERN_SUCCESS)
		return kr;
	fill(info, layout, ints, r);
	*count = ints;
	*nesting_depth = 0;
	return KERN_SUCCESS;
}

kern_return_t mach_vm_region_recurse(vm_map_read_t task, mach_vm_address_t *address, mach_vm_size_t *size,
	natural_t *nesting_depth, vm_region_recurse_info_t info, mach_msg_type_number_t *count)
{
	region_t r;
	kern_return_t kr;

	if (address == NULL || size == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = recurse(task, *address, UINT64_MAX, nesting_depth, 1, info, count, &r);
	if (kr == KERN_SUCCESS) {
		*address = r.start;
		*size = r.size;
	}
	return kr;
}

static kern_return_t vm_recurse(vm_map_read_t task, vm_address_t *address, vm_size_t *size, natural_t *nesting_depth,
	int wide, vm_region_recurse_info_t info, mach_msg_type_number_t *count)
{
	region_t r;
	kern_return_t kr;

	if (address == NULL || size == NULL)
		return KERN_INVALID_ARGUMENT;
	kr = recurse(task, *address, UINTPTR_MAX, nesting_depth, wide, info, count, &r);
	if (kr == KERN_SUCCESS) {
		*address = (vm_address_t)r.start;
		*size = (vm_size_t)r.size;
	}
	return kr;
}

kern_return_t vm_region_recurse_64(vm_map_read_t task, vm_address_t *address, vm_size_t *size,
	natural_t *nesting_depth, vm_region_recurse_info_t info, mach_msg_type_number_t *count)
{
	return vm_recurse(task, address, size, nesting_depth, 1, info, count);
}

kern_return_t vm_region_recurse(vm_map_read_t task, vm_address_t *address, vm_size_t *size, natural_t *nesting_depth,
	vm_region_recurse_info_t info, mach_msg_type_number_t *count)
{
	return vm_recurse(task, address, size, nesting_depth, 0, info, count);
}
